#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// Which runs. Empty texts and absent members do not filter.
struct run_filter {
  std::string agent_id, session_id, trigger, kind;
  std::string status; ///< The API's word.
  std::size_t limit = 50;
  std::optional<list_cursor> after;
};

/// Runs of a workspace, newest first (created_at, then place in the ledger). Parked ones are left
/// out: their own question tells.
answer<page<run_row>> list_runs(view_reader& reader, const workspace_id& workspace,
                                const run_filter& filter);

} // namespace runledger::views
