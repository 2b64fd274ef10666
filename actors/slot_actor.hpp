#pragma once

#include "actors/services.hpp"

namespace runledger {

/// The stream of another process's slot, which is held here: writes what that process reports.
slot_actor spawn_slot(caf::actor_system& sys, services_ptr s, worker_id id);

} // namespace runledger
