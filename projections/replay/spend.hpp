#pragma once

#include "projections/queries/agent_analytics.hpp"
#include "projections/replay/point.hpp"

#include <functional>

namespace runledger::replay {

/// Told of each event that changes what a workspace has spent: a run accepted, begun or ended, and
/// usage.
using spend_listener = std::function<void(const record_ptr&)>;

/// What a workspace had spent at a point (an offset or a time), per agent and together, over all
/// its runs, from the ledger alone: all partitions are read up to the point, or, for a time, to
/// their end. Runs with a damaged event count as they were before it, as in the views. The sums'
/// start is the year 1970, their end just behind the last event that counts. Nothing: the workspace
/// had no event.
result<std::optional<views::analytics>, read_error> spend_as_of(const event_log& log,
                                                                const workspace_id& workspace,
                                                                const point& when,
                                                                const spend_listener& changed = {});

} // namespace runledger::replay
