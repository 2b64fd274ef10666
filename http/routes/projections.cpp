#include "http/requests/body.hpp"
#include "http/routes/handlers.hpp"
#include "http/routes/reading.hpp"
#include "http/routes/refusals.hpp"
#include "http/routes/writing.hpp"
#include "projections/queries/projections_status.hpp"
#include "projections/render.hpp"
#include "projections/view_names.hpp"

#include <algorithm>
#include <memory>

namespace runledger::http {

/// The answer to a call with an Idempotency-Key that leaves no event behind. It is kept in memory,
/// because such a call may be repeated without harm.
struct kept_answer {
  std::string key; ///< Of the call, with workspace and view; empty: none.
  digest fingerprint;
  std::string body;           ///< Empty: not answered yet.
  std::vector<reply> waiting; ///< The same call again, meanwhile.
};

namespace routes {

namespace {

using statuses = std::vector<views::projection_status>;

/// Adds what is known of a rebuild. All views are folded together, so it is theirs all.
void add_rebuild(statuses& to, const views::rebuild_status& now) {
  if (!now.under_way && now.failure.empty())
    return;
  for (auto& each : to) {
    each.rebuild = now;
    if (now.under_way)
      each.state = "rebuilding";
  }
}

/// Asks how far the views are, at once: not when they are fresh, because that is what is wanted.
/// `then(reply, answer)` goes on, on the HTTP thread.
template <class Then>
void ask_status(route_context& c, reply r, const views::rebuild_status& rebuild, Then then) {
  struct duty {
    reply to;
    Then then;
  };
  auto kept = std::make_shared<duty>(duty{std::move(r), std::move(then)});
  c.queries->run([kept, rebuild, &io = c.io](views::view_reader& reader) {
    auto found = std::make_shared<views::answer<statuses>>(views::projections_status(reader));
    net::post(io, [kept, found, rebuild] {
      if (*found)
        add_rebuild(**found, rebuild);
      kept->then(std::move(kept->to), *found);
    });
  });
}

/// The body says nothing, but may be there.
result<request_context, problem> context_of_call(const request& rq) {
  if (rq.body().empty())
    return context_of(rq, nullptr);
  const auto body = parse_object(rq.body());
  if (!body)
    return body.error();
  const auto root = body->root();
  return context_of(rq, &root);
}

/// The answer to the same call before, or a new one to be filled in.
std::shared_ptr<kept_answer> kept_answer_of(route_context& c, const request_context& asked,
                                            const std::string& view, bool& known) {
  constexpr std::size_t most_kept = 256;
  auto fresh = std::make_shared<kept_answer>();
  fresh->fingerprint = asked.fingerprint;
  if (asked.idempotency_key.empty())
    return fresh;
  fresh->key = asked.workspace.value + '/' + view + '/' + asked.idempotency_key;
  for (const auto& each : c.kept_answers) {
    known = each->key == fresh->key;
    if (known)
      return each;
  }
  if (c.kept_answers.size() >= most_kept)
    c.kept_answers.pop_front();
  c.kept_answers.push_back(fresh);
  return fresh;
}

void replay(reply r, const std::string& body) {
  mark_replayed(r, true);
  r.json(status::accepted, body);
}

/// Answers the call and those that repeated it meanwhile.
void answer_begun(route_context& c, reply r, const std::shared_ptr<kept_answer>& kept,
                  const std::string& view, const views::answer<statuses>& found) {
  auto waiting = std::move(kept->waiting);
  if (!found) { // The key is not used up.
    std::erase(c.kept_answers, kept);
    waiting.push_back(std::move(r));
    for (auto& each : waiting)
      each.problem(problem_of(found.error()));
    return;
  }
  views::append_projection_json(kept->body,
                                *std::ranges::find(*found, view, &views::projection_status::name));
  r.json(status::accepted, kept->body);
  for (auto& each : waiting)
    replay(std::move(each), kept->body);
}

} // namespace

void list_projections(route_context& c, const request&, reply r) {
  ask_status(c, std::move(r), c.views.rebuilding(),
             [](reply to, const views::answer<statuses>& found) {
               if (found)
                 finish(to, rendered{array_of(*found, views::append_projection_json)});
               else
                 finish(to, problem_of(found.error()));
             });
}

void rebuild_projection(route_context& c, const request& rq, reply r) {
  const std::string view{rq.param("view")};
  if (views::find_view(view) == nullptr)
    return r.problem(no_such("view"));
  auto asked = context_of_call(rq);
  if (!asked)
    return r.problem(asked.error());
  bool known = false;
  auto kept = kept_answer_of(c, *asked, view, known);
  if (kept->fingerprint != asked->fingerprint)
    return r.problem(problem::of(fault::idempotency_conflict));
  if (!kept->body.empty())
    return replay(std::move(r), kept->body);
  if (known)
    return kept->waiting.push_back(std::move(r));
  // One that is under way does what is asked for: whoever repeats the call joins it.
  c.views.rebuild();
  auto begun = c.views.rebuilding();
  begun.under_way = true; // Also where it is over by now.
  ask_status(c, std::move(r), begun,
             [&c, kept, view](reply to, const views::answer<statuses>& found) {
               answer_begun(c, std::move(to), kept, view, found);
             });
}

} // namespace routes

} // namespace runledger::http
