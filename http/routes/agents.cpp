#include "projections/queries/agents.hpp"
#include "http/requests/change_version.hpp"
#include "http/requests/create_agent.hpp"
#include "http/requests/query.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "http/routes/rows_from.hpp"
#include "http/routes/version_number.hpp"
#include "http/routes/writing.hpp"
#include "projections/render.hpp"

namespace runledger::http::routes {

namespace {

/// Asks for the agent that the path names, then goes on with it.
template <class Then>
question about_agent(const request& rq, Then then) {
  return [workspace = workspace_id{rq.caller()->workspace}, agent = std::string{rq.param("agent")},
          then = std::move(then)](views::view_reader& reader) -> result<rendered, problem> {
    auto found = views::agent_by_ref(reader, workspace, agent);
    if (!found)
      return problem_of(found.error());
    if (!*found)
      return no_such("agent");
    return then(reader, **found);
  };
}

/// Answers a change of a version with the version.
answer<agent_answer> version_answer(route_context& c, reply r, status code) {
  return answer_to<agent_answer>(std::move(r), [&c, code](agent_answer done, reply to) {
    std::string out;
    auto row = version_from(done.id, *done.state, done.version, c.blobs);
    if (done.replayed) // As it was made.
      row.status = agent::to_string(agent::version_phase::draft);
    views::append_version_json(out, row);
    mark_replayed(to, done.replayed);
    to.json(code, out);
  });
}

} // namespace

void create_agent(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto asked = read_create_agent(body->root(), c.recipes);
  if (!asked)
    return r.problem(asked.error());
  auto root = body->root();
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  create_agent_request ask;
  ask.context = std::move(*context);
  ask.title = std::move(asked->name);
  ask.slug = std::move(asked->slug);
  ask.description = std::move(asked->description);
  ask.recipe = std::move(asked->recipe);
  c.actors->create_agent(std::move(ask),
                         answer_to<agent_answer>(std::move(r), [](agent_answer done, reply to) {
                           auto made = agent_from(done.id, *done.state, done.replayed);
                           std::string out;
                           views::append_agent_json(out, made.row, &made.versions);
                           mark_replayed(to, done.replayed);
                           to.json(status::created, out);
                         }));
}

void list_agents(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  auto page = read_list_request(rq, in);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               [page = std::move(page), workspace = workspace_id{rq.caller()->workspace}](
                   views::view_reader& reader) -> result<rendered, problem> {
                 auto found = views::list_agents(reader, workspace, page.limit, page.after);
                 if (!found)
                   return problem_of(found.error());
                 rendered out;
                 out.body = array_of(found->items, [](std::string& to, const auto& row) {
                   views::append_agent_json(to, row, nullptr);
                 });
                 page.link(out, found->next);
                 return out;
               });
}

void show_agent(route_context& c, const request& rq, reply r) {
  answer_here(c, std::move(r), about_agent(rq, [](auto&, const views::agent_view& found) {
                rendered out;
                views::append_agent_json(out.body, found.agent, &found.versions);
                return out;
              }));
}

void create_version(route_context& c, const request& rq, reply r) {
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto recipe = read_create_version(body->root(), c.recipes);
  if (!recipe)
    return r.problem(recipe.error());
  auto root = body->root();
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  agent::create_version change;
  change.recipe = std::move(*recipe);
  c.actors->change_version({std::move(*context), std::string{rq.param("agent")}, std::move(change)},
                           version_answer(c, std::move(r), status::created));
}

void list_versions(route_context& c, const request& rq, reply r) {
  query_reader in{rq};
  auto page = read_list_request(rq, in);
  if (!in.ok())
    return r.problem(std::move(in).refusal());
  answer_aside(c, std::move(r),
               about_agent(rq,
                           [page = std::move(page)](
                               views::view_reader& reader,
                               const views::agent_view& agent) -> result<rendered, problem> {
                             auto found =
                                 views::list_versions(reader, agent.agent, page.limit, page.after);
                             if (!found)
                               return problem_of(found.error());
                             rendered out;
                             out.body = array_of(found->items, views::append_version_json);
                             page.link(out, found->next);
                             return out;
                           }));
}

void show_version(route_context& c, const request& rq, reply r) {
  const auto number = version_number(rq.param("version"));
  if (!number)
    return r.problem(no_such("version"));
  answer_here(
      c, std::move(r),
      about_agent(rq,
                  [number = *number](views::view_reader& reader,
                                     const views::agent_view& agent) -> result<rendered, problem> {
                    auto found = views::agent_version(reader, agent.agent, number);
                    if (!found)
                      return problem_of(found.error());
                    if (!*found)
                      return no_such("version");
                    rendered out;
                    views::append_version_json(out.body, **found);
                    return out;
                  }));
}

void change_version(route_context& c, const request& rq, reply r) {
  const auto number = version_number(rq.param("version"));
  if (!number)
    return r.problem(no_such("version"));
  auto body = parse_object(rq.body());
  if (!body)
    return r.problem(body.error());
  auto asked = read_change_version(body->root(), c.recipes);
  if (!asked)
    return r.problem(asked.error());
  auto root = body->root();
  auto context = context_of(rq, &root);
  if (!context)
    return r.problem(context.error());
  change_version_request ask;
  ask.context = std::move(*context);
  ask.agent = rq.param("agent");
  std::visit(overloaded{
                 [&](activate_body) { ask.change = agent::activate{*number}; },
                 [&](archive_body) { ask.change = agent::archive{*number}; },
                 [&](recipe_change& to) {
                   ask.change = agent::change_draft{*number, std::move(to.recipe)};
                 },
             },
             *asked);
  c.actors->change_version(std::move(ask), version_answer(c, std::move(r), status::ok));
}

} // namespace runledger::http::routes
