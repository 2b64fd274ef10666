#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
class actor_system_config;
} // namespace caf

namespace runledger {

/// Settings for an actor system that runs these actors: policy `sharing` (work stealing collapses
/// with many actors on few threads), `threads` of them.
void configure(caf::actor_system_config& cfg, std::size_t threads);

/// Takes the ledger's partitions (settings.partitions) and starts every actor, in order. The engine
/// and the simulation both start here. Throws std::runtime_error with a sentence for the operator
/// if one of them cannot be taken.
services_ptr start_actors(caf::actor_system& sys, engine_settings settings,
                          const engine_parts& parts, id_source& ids,
                          std::function<void(std::string_view)> warn);

/// Asks the ledger for streams with unfinished work and wakes each, page by page.
void start_recovery(caf::actor_system& sys, services_ptr s);

/// Ends every actor that start_actors started, and opens the circle of handles.
void stop_actors(const services_ptr& s);

} // namespace runledger
