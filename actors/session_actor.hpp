#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the actor of a session. It rebuilds itself from the ledger and goes on with what its
/// state asks for: the current turn is handed to the dispatcher, a cancellation to its runs.
session_actor spawn_session(caf::actor_system& sys, services_ptr s, session_id id);

} // namespace runledger
