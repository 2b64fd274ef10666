#pragma once

#include "projections/replay/point.hpp"
#include "projections/view_reader.hpp"

namespace runledger::views {

/// A run or a session of a workspace as it was at a point in the past; nothing if it was not there.
/// The views are not asked: the entity's events are read up to the point (projections/replay), so
/// this belongs on a thread that may wait.
answer<std::optional<run_row>> run_as_of(view_reader& reader, const workspace_id& workspace,
                                         const run_id& id, const replay::point& when);
answer<std::optional<session_view>> session_as_of(view_reader& reader,
                                                  const workspace_id& workspace,
                                                  const session_id& id, const replay::point& when);

} // namespace runledger::views
