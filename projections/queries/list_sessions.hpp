#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

struct session_filter {
  std::string agent_id; ///< Empty: all.
  std::string status;   ///< `active`, `cancelling`, `terminated`; empty: all.
  std::size_t limit = 50;
  std::optional<list_cursor> after;
};

/// Sessions of a workspace with their runs, newest first.
answer<page<session_view>> list_sessions(view_reader& reader, const workspace_id& workspace,
                                         const session_filter& filter);

} // namespace runledger::views
