#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// The slots of the server, newest first. The agent is named only if it is of this workspace.
answer<page<worker_row>> list_workers(view_reader& reader, const workspace_id& workspace,
                                      std::size_t limit, const std::optional<list_cursor>& after);

} // namespace runledger::views
