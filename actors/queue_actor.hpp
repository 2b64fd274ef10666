#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the actor of a queue of remote work: the only writer of its stream. It matches waiting
/// runs, first in first out, with the slots that remote workers offer, and carries lines between a
/// run and the worker that has leased it. What a worker says under a lease that is not the run's
/// present one is refused. A worker that is silent for `engine_settings::lease_ms` loses its
/// leases; after a restart each worker has that long to come back.
queue_actor spawn_queue(caf::actor_system& sys, services_ptr s, stream_id stream);

} // namespace runledger
