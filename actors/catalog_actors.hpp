#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

/// The small entities of the catalog: same shape, no effects but the next message.
namespace runledger {

/// An agent. It also pins the version of a run that is to start, and checks the run's initial
/// state.
agent_actor spawn_agent(caf::actor_system& sys, services_ptr s, agent_id id);

/// The names of a workspace. It coordinates the creation of what bears a name: first the claim,
/// then the owner. A claim whose owner never came to be (a crash in between) passes on to the next
/// who asks.
names_actor spawn_names(caf::actor_system& sys, services_ptr s, workspace_id id);

key_actor spawn_key(caf::actor_system& sys, services_ptr s, key_id id);
workspace_actor spawn_workspace(caf::actor_system& sys, services_ptr s, workspace_id id);
audit_actor spawn_audit(caf::actor_system& sys, services_ptr s, workspace_id id);

} // namespace runledger
