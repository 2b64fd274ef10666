#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the dispatcher: gives waiting runs to slots. First in first out per workspace and agent
/// version (a run whose pool is full does not hold back other agents' runs), workspaces in turn. A
/// run is known here once, waiting or assigned, however often it is announced.
dispatcher_actor spawn_dispatcher(caf::actor_system& sys, services_ptr s);

} // namespace runledger
