#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// The session with its runs; nothing if there is none in this workspace. `corrupt` for a parked
/// one.
answer<std::optional<session_view>>
session_by_id(view_reader& reader, const workspace_id& workspace, std::string_view id);

} // namespace runledger::views
