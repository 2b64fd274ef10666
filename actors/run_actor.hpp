#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the actor of a run: the only writer of its stream. An attempt that was under way when the
/// state was rebuilt has lost its harness; it ends without counting, and the next one follows.
run_actor spawn_run(caf::actor_system& sys, services_ptr s, run_id id, session_id session,
                    workspace_id workspace);

} // namespace runledger
