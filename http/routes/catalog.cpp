#include "http/cluster/neighbours.hpp"
#include "http/requests/as_of.hpp"
#include "http/requests/body.hpp"
#include "http/requests/create_key.hpp"
#include "http/requests/create_workspace.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "http/routes/rows_from.hpp"
#include "http/routes/writing.hpp"
#include "projections/queries/agent_analytics.hpp"
#include "projections/queries/analytics_as_of.hpp"
#include "projections/queries/keys.hpp"
#include "projections/queries/workers.hpp"
#include "projections/queries/workspaces.hpp"
#include "projections/render.hpp"

namespace runledger::http::routes {

namespace {

/// A list without filters: `ask(reader, page)` gives the page, `append` renders an item.
template <class Ask, class Append>
void answer_list(route_context& c, const request& rq, reply r, Ask ask, Append append) {
  query_reader in{rq};
  auto page = read_list_request(rq, in);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               [page = std::move(page), ask = std::move(ask),
                append](views::view_reader& reader) -> result<rendered, problem> {
                 auto found = ask(reader, page);
                 if (!found)
                   return problem_of(found.error());
                 rendered out;
                 out.body = array_of(found->items, append);
                 page.link(out, found->next);
                 return out;
               });
}

/// Goes on when the other nodes know of a new or revoked key; `insist`: all of them, whatever it
/// takes.
void once_keys_are_known(route_context& c, bool insist, reply r, std::function<void(reply)> then) {
  if (c.others == nullptr)
    return then(std::move(r));
  auto kept = std::make_shared<reply>(std::move(r));
  c.others->refresh_keys(
      insist, [kept] { return kept->is_open(); },
      [kept, then = std::move(then)] { then(std::move(*kept)); });
}

} // namespace

void list_workers(route_context& c, const request& rq, reply r) {
  answer_list(
      c, rq, std::move(r),
      [workspace = workspace_id{rq.caller()->workspace}](auto& reader, const list_request& page) {
        return views::list_workers(reader, workspace, page.limit, page.after);
      },
      views::append_worker_json);
}

void agent_analytics(route_context& c, const request& rq, reply r) {
  constexpr auto usual = std::chrono::days{30};
  query_reader in{rq};
  const auto when = read_as_of(in, false);
  auto end = in.time("end");
  if (!end && !when) // Exclusive, and what was created in this very millisecond counts.
    end = c.clock.now() + std::chrono::milliseconds{1};
  auto start = in.time("start");
  if (!start && end)
    start = *end - usual;
  if (in.ok() && start && end && *start > *end)
    in.complain("start", "`start` is behind `end`.", "out_of_range");
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               [workspace = workspace_id{rq.caller()->workspace}, start, end,
                when](views::view_reader& reader) -> result<rendered, problem> {
                 auto found = when ? views::analytics_as_of(reader, workspace, start, end, *when)
                                   : views::agent_analytics(reader, workspace, *start, *end);
                 if (!found)
                   return problem_of(found.error());
                 rendered out;
                 views::append_analytics_json(out.body, *found);
                 return out;
               });
}

void create_key(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto root = body->root();
  auto asked = read_create_key(root);
  if (!asked)
    return r.problem(asked.error());
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  auto text = make_key_text();
  create_key_request ask;
  ask.context = std::move(*context);
  ask.workspace =
      asked->workspace ? workspace_id{std::move(*asked->workspace)} : ask.context.workspace;
  ask.title = std::move(asked->name);
  ask.scopes = std::move(asked->scopes);
  ask.secret_hash = sha256(text);
  ask.expires_at = asked->expires_at;
  c.actors->create_key(
      std::move(ask),
      answer_to<key_answer>(std::move(r), [&c, text = std::move(text)](key_answer done, reply to) {
        const auto row = key_from(done.id, done.state);
        if (!done.replayed)
          c.keys.add({row.id, row.workspace, row.scopes, row.secret_hash, row.expires_at});
        const std::string shown = done.replayed ? std::string{} : text;
        std::string out;
        views::append_key_json(out, row, &shown);
        mark_replayed(to, done.replayed);
        to.header("Cache-Control", "no-store");
        // A node that cannot be asked hears of the key by itself, a little later.
        once_keys_are_known(c, false, std::move(to), [out = std::move(out)](reply known) {
          known.json(status::created, out);
        });
      }));
}

void list_keys(route_context& c, const request& rq, reply r) {
  answer_list(
      c, rq, std::move(r),
      [](auto& reader, const list_request& page) {
        return views::list_keys(reader, page.limit, page.after);
      },
      [](std::string& to, const auto& row) { views::append_key_json(to, row); });
}

void revoke_key(route_context& c, const request& rq, reply r) {
  auto context = context_of(rq, nullptr);
  if (!context)
    return r.problem(context.error());
  const key_id id{std::string{rq.param("key")}};
  c.actors->revoke_key({std::move(*context), id},
                       answer_to<key_answer>(std::move(r), [&c, id](const key_answer&, reply to) {
                         c.keys.remove(id);
                         once_keys_are_known(c, true, std::move(to),
                                             [](reply refused) { refused.empty(); });
                       }));
}

void create_workspace(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto root = body->root();
  auto asked = read_create_workspace(root);
  if (!asked)
    return r.problem(asked.error());
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  c.actors->create_workspace(
      {std::move(*context), {std::move(asked->id)}, std::move(asked->name)},
      answer_to<workspace_answer>(std::move(r), [](const workspace_answer& done, reply to) {
        std::string out;
        views::append_workspace_json(out, workspace_from(done.id, done.state));
        mark_replayed(to, done.replayed);
        to.json(status::created, out);
      }));
}

void list_workspaces(route_context& c, const request& rq, reply r) {
  answer_list(
      c, rq, std::move(r),
      [](auto& reader, const list_request& page) {
        return views::list_workspaces(reader, page.limit, page.after);
      },
      views::append_workspace_json);
}

} // namespace runledger::http::routes
