#include "events/timeline.hpp"
#include "http/requests/as_of.hpp"
#include "http/requests/post_message.hpp"
#include "http/routes/events.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "http/routes/rows_from.hpp"
#include "http/routes/waiting.hpp"
#include "http/routes/writing.hpp"
#include "projections/queries/agents.hpp"
#include "projections/queries/entities_as_of.hpp"
#include "projections/queries/list_sessions.hpp"
#include "projections/queries/session_at.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"
#include "projections/render.hpp"

namespace runledger::http::routes {

namespace {

/// As it was when the event was written that the answer rests on; as it is now where there is none.
auto session_of(views::view_reader& reader, const workspace_id& workspace,
                const session_id& session, const record_ptr& accepting) {
  return accepting ? views::session_at(reader, workspace, *accepting)
                   : views::session_by_id(reader, workspace, session.value);
}

/// The session object after a write: from the views, which know the runs' statuses.
question session_after(workspace_id workspace, session_id session, record_ptr accepting) {
  return
      [workspace = std::move(workspace), session = std::move(session),
       accepting = std::move(accepting)](views::view_reader& reader) -> result<rendered, problem> {
        auto found = session_of(reader, workspace, session, accepting);
        if (!found)
          return problem_of(found.error());
        if (!*found)
          return no_such("session");
        rendered out;
        out.code = status::accepted;
        views::append_session_json(out.body, (*found)->session, (*found)->runs);
        return out;
      };
}

/// The session object with the new turn and its one event.
question session_with_turn(workspace_id workspace, session_id session, run_id run,
                           record_ptr accepting) {
  return
      [workspace = std::move(workspace), session = std::move(session), run = std::move(run),
       accepting = std::move(accepting)](views::view_reader& reader) -> result<rendered, problem> {
        auto found = session_of(reader, workspace, session, accepting);
        if (!found)
          return problem_of(found.error());
        if (!*found)
          return no_such("session");
        auto first = views::run_timeline(reader, workspace, run.value, 0, 1);
        if (!first)
          return problem_of(first.error());
        views::accepted_message message{run, {}};
        if (*first && !(*first)->items.empty())
          message.event_json = (*first)->items.front().json;
        rendered out;
        out.code = status::accepted;
        views::append_session_json(out.body, (*found)->session, (*found)->runs, &message);
        return out;
      };
}

} // namespace

void list_sessions(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  auto page = read_list_request(rq, in);
  views::session_filter filter;
  filter.agent_id = in.text("agent_id");
  filter.status = in.word("status", {"active", "cancelling", "terminated"});
  filter.limit = page.limit;
  filter.after = page.after;
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               [page = std::move(page), filter = std::move(filter),
                workspace = workspace_id{rq.caller()->workspace}](
                   views::view_reader& reader) -> result<rendered, problem> {
                 auto found = views::list_sessions(reader, workspace, filter);
                 if (!found)
                   return problem_of(found.error());
                 rendered out;
                 out.body = array_of(found->items, [](std::string& to, const auto& each) {
                   views::append_session_json(to, each.session, each.runs);
                 });
                 page.link(out, found->next);
                 return out;
               });
}

void show_session(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  const auto when = read_as_of(in);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  auto object = [workspace = workspace_id{rq.caller()->workspace},
                 session = session_id{std::string{rq.param("session")}},
                 when](views::view_reader& reader) -> result<rendered, problem> {
    auto found = when ? views::session_as_of(reader, workspace, session, *when)
                      : views::session_by_id(reader, workspace, session.value);
    if (!found)
      return problem_of(found.error());
    if (!*found)
      return no_such("session");
    rendered out;
    views::append_session_json(out.body, (*found)->session, (*found)->runs);
    return out;
  };
  if (when)
    answer_aside(c, std::move(r), std::move(object));
  else
    answer_here(c, std::move(r), std::move(object));
}

void session_events(route_context& c, const request& rq, reply r) {
  answer_events(c, rq, stream_subject::kind::session, std::string{rq.param("session")},
                std::move(r));
}

void post_message(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto root = body->root();
  auto message = read_post_message(root);
  if (!message)
    return r.problem(message.error());
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  post_message_request ask;
  ask.context = std::move(*context);
  ask.session.value = rq.param("session");
  ask.message = std::move(*message);
  auto wait = std::make_shared<run_wait>(
      c, std::move(r), wait_asked(rq),
      [&c, workspace = ask.context.workspace](run_answer known, reply to) {
        const auto& accepted = known.accepted;
        const bool waited = known.end || known.ask_views; // Then what has become of it.
        answer_aside(c, std::move(to),
                     session_with_turn(workspace, accepted.session, accepted.fact->run,
                                       waited ? nullptr : accepted.accepting));
      });
  ask.on_end = wait->end_to();
  c.actors->post_message(std::move(ask), wait->accepted_to());
}

void cancel_session(route_context& c, const request& rq, reply r) {
  std::optional<json::document> body;
  if (!rq.body().empty()) {
    auto parsed = parse_object(rq.body());
    if (!parsed)
      return r.problem(parsed.error());
    body = std::move(*parsed);
  }
  const auto root = body ? std::optional{body->root()} : std::nullopt;
  auto context = context_of(rq, root ? &*root : nullptr);
  if (!context)
    return r.problem(context.error());
  cancel_session_request ask;
  ask.context = std::move(*context);
  ask.session.value = rq.param("session");
  const auto workspace = ask.context.workspace;
  c.actors->cancel_session(
      std::move(ask),
      answer_to<session_answer>(std::move(r), [&c, workspace](session_answer done, reply to) {
        mark_replayed(to, done.replayed);
        answer_here(c, std::move(to), session_after(workspace, done.session, done.accepting));
      }));
}

} // namespace runledger::http::routes
