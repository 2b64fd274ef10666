#pragma once

#include "events/envelope.hpp"
#include "projections/view_reader.hpp"

namespace runledger::views {

/// The session with its runs as they were when `accepting` (a session.turn_accepted or
/// session.cancel_requested) was written: the answer to the command that it accepts, the first time
/// and each time that the command comes again. The views must hold `accepting`. Nothing if there is
/// no such session in this workspace.
answer<std::optional<session_view>> session_at(view_reader& reader, const workspace_id& workspace,
                                               const record& accepting);

} // namespace runledger::views
