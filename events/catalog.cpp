#include "events/catalog.hpp"

#include <unordered_map>

namespace runledger {

namespace {

constexpr event_type catalog[] = {
    {"partition.opened", 1, "", "The partition's first event: partition count and partitioner."},
    {"partition.claimed", 1, "", "A process takes the partition: its epoch is raised by one."},
    {"partition.tree_head", 1, "", "The signed Merkle root of the partition's events so far."},
    {"partition.sealed", 1, "",
     "The partition's last event: the ledger goes on elsewhere, and where."},
    {"ledger.copy_started", 1, "",
     "This ledger becomes a copy of another one, whose last tree heads are told."},
    {"ledger.copied", 1, "", "Every event of the other ledger is here."},
    {"node.key_registered", 1, "", "A server signs tree heads with this key from here on."},
    {"workspace.created", 1, "", "A workspace exists."},
    {"key.created", 1, "", "An API key exists; only the hash of its secret is stored."},
    {"key.revoked", 1, "", "The key opens nothing any more."},
    {"audit.call_refused", 1, "", "A call that would have changed something was refused."},
    {"audit.calls_suppressed", 1, "", "So many refused calls were not recorded one by one."},
    {"name.claimed", 1, "", "A name that is unique in its workspace has an owner."},
    {"agent.created", 1, "", "An agent exists, with a recipe also its version 1, active."},
    {"agent.version_created", 1, "", "A draft version."},
    {"agent.draft_changed", 1, "", "The recipe of a draft was replaced."},
    {"agent.version_activated", 1, "",
     "A draft became runnable; its recipe is immutable from here."},
    {"agent.version_archived", 1, "", "An active version is not runnable any more."},
    {"worker.registered", 1, "", "A slot that runs harness processes exists."},
    {"worker.process_started", 1, "",
     "A harness process was started; names the layers of its sandbox."},
    {"worker.process_ended", 1, "", "The harness process is gone, and why."},
    {"queue.worker_joined", 1, "", "A remote worker serves the queue, with so many slots."},
    {"queue.worker_left", 1, "", "It does no more, and why."},
    {"queue.lease_granted", 1, "", "An attempt of a run is given to a remote worker."},
    {"queue.lease_expired", 1, "",
     "The worker was silent for the whole lease; the run goes on elsewhere."},
    {"queue.lease_released", 1, "", "The lease is over in another way, and which."},
    {"session.turn_accepted", 1, "user_message",
     "A run is accepted: the one fact behind the answer."},
    {"session.turn_ended", 1, "", "The session knows that the run of a turn has ended."},
    {"session.cancel_requested", 1, "", "Nothing more is scheduled; what runs is drained."},
    {"session.terminated", 1, "session_terminated", "The session takes no more messages."},
    {"run.started", 1, "run_status", "The first attempt begins."},
    {"run.attempt_started", 1, "run_status", "A later attempt begins."},
    {"run.attempt_failed", 1, "run_status", "An attempt ended without an end of the run."},
    {"run.step_started", 1, "step_started", "An execution of a step may begin."},
    {"run.step_completed", 1, "step_completed", "The step is done; it never executes again."},
    {"run.step_retrying", 1, "step_retrying", "The step failed and will execute again."},
    {"run.step_failed", 1, "step_failed", "The step failed for good."},
    {"run.message_emitted", 1, "assistant_message", "The agent said something."},
    {"run.tool_called", 1, "tool_call", "The agent called a tool."},
    {"run.tool_returned", 1, "tool_result", "A tool answered."},
    {"run.checkpoint_saved", 1, "checkpoint", "The harness saved its state."},
    {"run.usage_reported", 1, "usage", "Tokens and money spent since the last report."},
    {"run.logged", 1, "log", "A log line at signal level."},
    {"run.artifact_published", 1, "artifact_published",
     "A file of the work folder was taken over."},
    {"run.cancel_requested", 1, "",
     "No new step; the one in flight may finish until the deadline."},
    {"run.succeeded", 1, "run_status", "The agent returned a result. Terminal."},
    {"run.failed", 1, "run_status", "The agent raised an error or crossed a limit. Terminal."},
    {"run.cancelled", 1, "run_status", "The run was stopped on request. Terminal."},
};

} // namespace

std::span<const event_type> event_catalog() {
  return catalog;
}

const event_type* find_event_type(std::string_view full) {
  static const auto index = [] {
    std::unordered_map<std::string, const event_type*> out;
    for (const auto& type : catalog)
      for (int v = 1; v <= type.version; ++v)
        out.emplace(full_type(type.name, v), &type);
    return out;
  }();
  thread_local std::string key;
  key = full;
  auto found = index.find(key);
  return found == index.end() ? nullptr : found->second;
}

} // namespace runledger
