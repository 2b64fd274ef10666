#include "http/requests/as_of.hpp"
#include "http/requests/fork_run.hpp"
#include "http/requests/start_run.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "http/routes/rows_from.hpp"
#include "http/routes/version_number.hpp"
#include "http/routes/waiting.hpp"
#include "http/routes/writing.hpp"
#include "projections/queries/agents.hpp"
#include "projections/queries/entities_as_of.hpp"
#include "projections/queries/explain_run.hpp"
#include "projections/queries/list_runs.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/render.hpp"

namespace runledger::http::routes {

namespace {

result<rendered, problem> run_reply(const views::answer<std::optional<views::run_row>>& found,
                                    status code) {
  if (!found)
    return problem_of(found.error());
  if (!*found)
    return no_such("run");
  rendered out;
  out.code = code;
  views::append_run_json(out.body, **found);
  return out;
}

question run_object(workspace_id workspace, std::string run, status code) {
  return [workspace = std::move(workspace), run = std::move(run),
          code](views::view_reader& reader) -> result<rendered, problem> {
    return run_reply(views::run_by_id(reader, workspace, run), code);
  };
}

/// 201 with the run as it was accepted, as it ended, or, after a wait in vain, as it is now.
void answer_started(route_context& c, const workspace_id& workspace, run_answer known, reply to) {
  const auto& accepted = known.accepted;
  const auto& fact = *accepted.fact;
  if (known.ask_views)
    return answer_here(c, std::move(to), run_object(workspace, fact.run.value, status::created));
  static const run::state pending;
  const auto row =
      views::run_row_from(fact.run, known.end ? *known.end->state : pending, accepted.session,
                          workspace, fact, accepted.accepted_at, loader(c.blobs));
  std::string body;
  body.reserve(768);
  views::append_run_json(body, row);
  to.json(status::created, body);
}

/// For a run without any event of its own: one that waits has no step yet, of others nothing is
/// known.
question no_step_of(workspace_id workspace, run_id run) {
  return [workspace = std::move(workspace),
          run = std::move(run)](views::view_reader& reader) -> result<rendered, problem> {
    auto found = views::run_by_id(reader, workspace, run.value);
    if (!found)
      return problem_of(found.error());
    if (!*found)
      return no_such("run");
    refusal_info why;
    why.code = errc::unknown_step;
    why.detail = "The run has not started a step yet.";
    return problem_of(why);
  };
}

} // namespace

void start_run(route_context& c, const request& rq, reply r) {
  start_run_request ask;
  ask.agent = rq.param("agent");
  if (const auto version = rq.param("version"); !version.empty()) {
    ask.version = version_number(version);
    if (!ask.version)
      return r.problem(no_such("version"));
  }
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto root = body->root();
  auto input = read_start_run(root);
  if (!input)
    return r.problem(input.error());
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  ask.context = std::move(*context);
  ask.prompt = std::move(input->prompt);
  ask.initial_state = std::move(input->initial_state);
  auto wait = std::make_shared<run_wait>(
      c, std::move(r), wait_asked(rq),
      [&c, workspace = ask.context.workspace](run_answer known, reply to) {
        answer_started(c, workspace, std::move(known), std::move(to));
      });
  ask.on_end = wait->end_to();
  c.actors->start_run(std::move(ask), wait->accepted_to());
}

void fork_run(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto root = body->root();
  auto at = read_fork_run(root);
  if (!at)
    return r.problem(at.error());
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  fork_run_request ask;
  ask.context = std::move(*context);
  ask.parent.value = rq.param("run");
  ask.at = std::move(*at);
  auto wait = std::make_shared<run_wait>(
      c, std::move(r), wait_asked(rq),
      [&c, workspace = ask.context.workspace](run_answer known, reply to) {
        answer_started(c, workspace, std::move(known), std::move(to));
      });
  wait->on_refusal([&c, workspace = ask.context.workspace,
                    parent = ask.parent](const refusal_info& why, reply to) {
    if (why.code != errc::not_found)
      return to.problem(problem_of(why));
    answer_here(c, std::move(to), no_step_of(workspace, parent));
  });
  ask.on_end = wait->end_to();
  c.actors->fork_run(std::move(ask), wait->accepted_to());
}

void show_run(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  const auto when = read_as_of(in);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  if (!when)
    return answer_here(
        c, std::move(r),
        run_object({rq.caller()->workspace}, std::string{rq.param("run")}, status::ok));
  answer_aside(c, std::move(r),
               [workspace = workspace_id{rq.caller()->workspace},
                run = run_id{std::string{rq.param("run")}},
                when = *when](views::view_reader& reader) -> result<rendered, problem> {
                 return run_reply(views::run_as_of(reader, workspace, run, when), status::ok);
               });
}

void list_runs(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  auto page = read_list_request(rq, in);
  views::run_filter filter;
  filter.agent_id = in.text("agent_id");
  filter.session_id = in.text("session_id");
  filter.status = in.word("status", {"pending", "running", "succeeded", "failed", "cancelled"});
  filter.trigger = in.word("trigger", {"manual", "schedule", "event"});
  filter.kind = in.text("kind");
  filter.limit = page.limit;
  filter.after = page.after;
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               [page = std::move(page), filter = std::move(filter),
                agent = std::string{rq.param("agent")},
                workspace = workspace_id{rq.caller()->workspace}](
                   views::view_reader& reader) mutable -> result<rendered, problem> {
                 if (!agent.empty()) {
                   auto named = views::agent_by_ref(reader, workspace, agent);
                   if (!named)
                     return problem_of(named.error());
                   if (!*named)
                     return no_such("agent");
                   const auto& id = (*named)->agent.id.value;
                   if (!filter.agent_id.empty() && filter.agent_id != id)
                     return rendered{"[]"}; // Two agents at once.
                   filter.agent_id = id;
                 }
                 auto found = views::list_runs(reader, workspace, filter);
                 if (!found)
                   return problem_of(found.error());
                 rendered out;
                 out.body = array_of(found->items, views::append_run_json);
                 page.link(out, found->next);
                 return out;
               });
}

void explain_run(route_context& c, const request& rq, reply r) {
  answer_aside(c, std::move(r),
               [workspace = workspace_id{rq.caller()->workspace},
                run = std::string{rq.param("run")},
                now = c.clock.now()](views::view_reader& reader) -> result<rendered, problem> {
                 auto found = views::explain_run(reader, workspace, run, now);
                 if (!found)
                   return problem_of(found.error());
                 if (!*found)
                   return no_such("run");
                 rendered out;
                 views::append_explanation_json(out.body, **found);
                 return out;
               });
}

} // namespace runledger::http::routes
