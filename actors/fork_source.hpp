#pragma once

#include "actors/answer.hpp"
#include "events/fork.hpp"
#include "events/log/event_log.hpp"
#include "events/session.hpp"

#include <string>
#include <vector>

/// What a forked run gets from the run that it was forked from, straight from the ledger (it works
/// with the views absent).
namespace runledger {

/// The parent's acceptance and the place in its history.
struct fork_source {
  session::turn_accepted accepted;
  session::fork_point point;
};
/// Refused: `not_found` (no such run in this workspace, or it has no event yet), `unknown_step`.
result<fork_source, refusal_info> find_fork_source(const event_log& log,
                                                   const workspace_id& workspace,
                                                   const run_id& parent, const std::string& at);

/// The steps that a fork takes over. A parent that does not hold the fork's place is damage.
result<std::vector<run::inherited_step>, read_error>
read_inherited(const event_log& log, const run_id& parent, const session::fork_point& point);

/// How an inherited step ended.
struct inherited_outcome {
  payload output;
  failure error; ///< Instead.
};
result<inherited_outcome, read_error> read_outcome(const event_log& log, const std::string& key,
                                                   const run::outcome_source& source);

} // namespace runledger
