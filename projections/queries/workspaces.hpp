#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// All workspaces, newest first.
answer<page<workspace_row>> list_workspaces(view_reader& reader, std::size_t limit,
                                            const std::optional<list_cursor>& after);

answer<std::optional<workspace_row>> workspace_by_id(view_reader& reader, std::string_view id);

} // namespace runledger::views
