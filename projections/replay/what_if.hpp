#pragma once

#include "events/ids.hpp"
#include "events/log/event_log.hpp"
#include "events/result.hpp"
#include "projections/replay/other_course.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

/// Which recorded runs another policy would have stopped, and what that would have cost: from the
/// ledger alone, with the server's own decide(). Each run is decided by itself; what a client or an
/// agent would have done otherwise because a run ended earlier is not guessed. No writes, no clock.
namespace runledger::replay {

/// Which runs; nothing set: all. At most one of `run`, `session` and `workspace`.
struct run_selection {
  std::optional<run_id> run;
  std::optional<session_id> session;
  std::optional<workspace_id> workspace;
  std::optional<timestamp> since; ///< Accepted then or later.
};

/// A run for which the other policy makes a difference, or may make one.
struct changed_run {
  run_id run;
  session_id session;
  workspace_id workspace;
  std::string agent; ///< Slug.
  timestamp accepted_at{};
  run::phase recorded = run::phase::absent; ///< How it stands in the ledger.
  micro_usd recorded_cost{0};
  /// The recorded event at which the two part, and how.
  std::uint64_t seq = 0;
  std::uint32_t partition = 0;
  std::int64_t offset = -1;
  timestamp at{};
  parting how;
  micro_usd cost{0}; ///< Up to that event: exact if it ends there, else the least.
};

struct what_if_report {
  std::uint64_t runs = 0;    ///< Selected.
  std::uint64_t stopped = 0; ///< Would have ended where they went on.
  std::uint64_t unknown = 0; ///< Would have gone on, or another way, where nothing is recorded.
  std::uint64_t damaged = 0; ///< Events that cannot be read.
  micro_usd recorded{0};     ///< What all of them cost.
  micro_usd otherwise{0};    ///< What they would have; the least, if `unknown` or `damaged`.
  micro_usd saved{0};        ///< By those that stop.
  std::vector<changed_run> changed; ///< In the order of the ledger, by where they part.

  bool exact() const { return unknown == 0 && damaged == 0; }
};

/// Decides the recorded history of the selected runs under the other policy. Reads the streams of
/// the run or session, else all partitions. A budget is shared by the selected runs of each
/// workspace in the order of the ledger, which there is in one partition only: it may not be asked
/// of more. An error: the ledger cannot be read, or a selected stream is damaged.
result<what_if_report, read_error> what_if(const event_log& log, const run_selection& selected,
                                           const other_policy& policy);

} // namespace runledger::replay
