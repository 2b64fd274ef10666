#include "projections/queries/explain_run.hpp"

#include "projections/queries/agents.hpp"
#include "projections/reader_internals.hpp"

namespace runledger::views {

namespace {

/// Whose recipe says which workers a waiting run needs.
struct waiting_version {
  agent_id agent;
  std::int64_t version = 0;
};

/// The queue that the recipe names; empty: the run needs a slot of the server.
std::string queue_of(view_reader& reader, const workspace_id& workspace,
                     const waiting_version& waits) {
  auto found = agent_by_ref(reader, workspace, waits.agent.value);
  if (!found || !*found)
    return {};
  auto version = agent_version(reader, (*found)->agent, waits.version);
  if (!version || !*version)
    return {};
  auto recipe = json::parse((*version)->recipe);
  auto harness = recipe ? recipe->root().find("harness") : std::nullopt;
  auto kind = harness ? harness->find("kind") : std::nullopt;
  auto queue = harness ? harness->find("queue") : std::nullopt;
  bool remote = kind && kind->is_string() && kind->string() == "worker";
  return remote && queue && queue->is_string() ? std::string{queue->string()} : std::string{};
}

/// The turn before it that has not ended, if any: a session runs one turn at a time.
std::string blocking_run(view_reader::internals& in, const stored_run& r) {
  auto& q = in.use("SELECT id FROM runs WHERE session = ? AND turn < ? AND turn_ended = 0 "
                   "ORDER BY turn LIMIT 1");
  finished end{q};
  return q.with(r.session_at, r.turn).row() ? q.values().text() : std::string{};
}

/// True: it waits for a place to run.
bool explain_pending(view_reader::internals& in, const stored_run& r, explanation& out) {
  out.reason = "queued";
  out.event_id = r.session.value + ':' + std::to_string(r.accepted_seq);
  auto before = blocking_run(in, r);
  out.summary = before.empty()
                    ? "The run waits for a free place to run."
                    : "The run waits until " + before + " of the same session has ended.";
  return before.empty();
}

void explain_running(const stored_run& r, explanation& out) {
  out.reason = "executing";
  out.until = r.cancelling ? r.due : r.timeout_due;
  if (r.cancelling)
    out.summary = "The run is being cancelled: the step in flight may finish until the deadline.";
  else
    out.summary = "Attempt " + std::to_string(r.attempt) + " is executing.";
}

/// True: it waits for a place to run.
bool explain_backing_off(const stored_run& r, timestamp now, explanation& out) {
  auto next = std::to_string(r.attempt + 1);
  if (r.due && *r.due <= now) {
    out.reason = "waiting_for_worker";
    out.summary = "Attempt " + next + " waits for a free place to run.";
    return true;
  }
  out.reason = "backing_off";
  out.summary = "Attempt " + std::to_string(r.attempt) + " failed; attempt " + next
                + " follows after a delay.";
  out.until = r.due;
  return false;
}

void explain_finished(const stored_run& r, explanation& out) {
  out.reason = "finished";
  out.summary = "The run has " + std::string{status_of(r)} + ".";
  if (r.phase == run::phase::cancelled)
    out.summary = "The run was cancelled.";
  else if (r.phase == run::phase::failed)
    out.summary = "The run has failed: " + r.error.message;
}

} // namespace

answer<std::optional<explanation>> explain_run(view_reader& reader, const workspace_id& workspace,
                                               std::string_view id, timestamp now) {
  std::optional<waiting_version> waits;
  auto told = ask<std::optional<explanation>>(reader, [&](auto& in) -> std::optional<explanation> {
    stored_run r;
    auto& q = in.use(RUNLEDGER_RUN_SELECT "WHERE r.id = ? ORDER BY r.at LIMIT 1");
    finished end{q}; // Until then all statements see the same commit.
    if (!q.with(id).row())
      return std::nullopt;
    read_run(q, r);
    if (r.workspace != workspace)
      return std::nullopt;
    if (r.parked)
      in.refuse_parked("runs", r.id.value);
    explanation out;
    out.run = r.id;
    out.status = status_of(r);
    out.event_id = r.id.value + ':' + std::to_string(r.cause_seq);
    if (run::terminal(r.phase))
      explain_finished(r, out);
    else if (r.phase == run::phase::running)
      explain_running(r, out);
    else if (r.phase == run::phase::absent ? explain_pending(in, r, out)
                                           : explain_backing_off(r, now, out))
      waits = waiting_version{r.agent, r.agent_version};
    return out;
  });
  if (!told || !*told || !waits)
    return told;
  if (auto queue = queue_of(reader, workspace, *waits); !queue.empty()) {
    (*told)->reason = "waiting_for_worker";
    (*told)->summary = "The run waits for a worker of the queue `" + queue + "`.";
  }
  return told;
}

} // namespace runledger::views
