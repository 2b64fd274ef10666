#pragma once

#include "events/envelope.hpp"
#include "events/json_writer.hpp"
#include "events/log/event_log.hpp"

#include <optional>

namespace runledger::replay {

/// What is taken out of a ledger: the streams of a run (its own and its session's), of a session
/// (its own and those of its runs) or of a workspace; without any of these, all streams. The
/// partitions' own streams are never taken. With a time only what lies between the first event of a
/// partition at or after `since` and the last before `until`, in the partition's order.
struct selection {
  run_id run;
  session_id session; ///< Also of the run.
  workspace_id workspace;
  std::optional<timestamp> since, until;

  /// Every stream that is there is there from its first event on.
  bool whole_streams() const { return !since && !until; }
  /// Every event of the stretch, without a gap.
  bool everything() const { return run.empty() && session.empty() && workspace.empty(); }

  /// Apart from the time.
  bool holds(std::string_view stream, std::string_view partition_key,
             std::string_view of_workspace) const {
    if (!run.empty() && stream != run.value && stream != session.value)
      return false;
    return (session.empty() || partition_key == session.value)
           && (workspace.empty() || of_workspace == workspace.value);
  }
  bool holds(const envelope& e) const {
    return holds(e.stream.value, e.partition_key, e.workspace.value);
  }

  /// One JSON object: what was asked for.
  std::string to_json() const {
    std::string out;
    json_writer json{out};
    json.begin_object();
    if (!run.empty())
      json.member("run", run.value);
    if (!session.empty())
      json.member("session", session.value);
    if (!workspace.empty())
      json.member("workspace", workspace.value);
    if (since)
      json.member("since", to_rfc3339(*since));
    if (until)
      json.member("until", to_rfc3339(*until));
    json.end_object();
    return out;
  }
};

} // namespace runledger::replay
