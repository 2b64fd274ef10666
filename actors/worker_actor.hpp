#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts a worker: one slot of this server, which runs at most one harness process at a time. A
/// process serves one run, or with a pool the runs of one agent version. What the slot's process
/// does to several runs at once is settled here: when it dies, the runs that shared it lose no
/// attempt and go on alone.
worker_actor spawn_worker(caf::actor_system& sys, services_ptr s, worker_id id, std::size_t slot);

} // namespace runledger
