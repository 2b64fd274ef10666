#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the directory. At most one actor per entity lives at any time: it is spawned here when
/// mail for it comes, and leaves only after it was asked to and nothing was on its way to it.
directory_actor spawn_directory(caf::actor_system& sys, services_ptr s);

} // namespace runledger
