#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// The run with its payloads; nothing if there is none in this workspace. `corrupt` for a parked
/// one.
answer<std::optional<run_row>> run_by_id(view_reader& reader, const workspace_id& workspace,
                                         std::string_view id);

} // namespace runledger::views
