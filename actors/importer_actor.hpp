#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the actor that does slow file work for runs, on a thread of its own: takes artifacts over
/// into the blob store, removes work folders.
importer_actor spawn_importer(caf::actor_system& sys, services_ptr s);

} // namespace runledger
