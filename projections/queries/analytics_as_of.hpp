#pragma once

#include "projections/queries/agent_analytics.hpp"
#include "projections/replay/point.hpp"

namespace runledger::views {

/// Whether the ledger has several partitions, so that an offset names no moment of all of them.
bool spans_partitions(view_reader& reader);

/// As agent_analytics(), at a point in the past (an offset or a time; a seq belongs to one entity).
/// Without `end` the runs up to that moment count, without `start` those of the 30 days before it.
///
/// Cost: a row for each run of the time span, as agent_analytics(). Runs that had ended at the
/// point are told by their row (at an offset, failed and cancelled ones by one event besides); only
/// those that were under way then are folded from their streams, and their number is that of the
/// slots and queues of that moment.
answer<analytics> analytics_as_of(view_reader& reader, const workspace_id& workspace,
                                  std::optional<timestamp> start, std::optional<timestamp> end,
                                  const replay::point& when);

} // namespace runledger::views
