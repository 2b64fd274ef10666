#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// Artifacts of a run, newest first. The run is checked by the caller (run_by_id).
answer<page<artifact_row>> list_artifacts(view_reader& reader, const run_row& run,
                                          std::size_t limit,
                                          const std::optional<list_cursor>& after);

/// Nothing if there is none in this workspace.
answer<std::optional<artifact_row>>
artifact_by_id(view_reader& reader, const workspace_id& workspace, std::string_view id);

} // namespace runledger::views
