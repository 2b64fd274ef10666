#pragma once

#include "actors/services.hpp"

namespace runledger {

/// The COURIER hands commands to the processes that hold their entities' partitions, and repeats
/// each until it is answered, ever more seldom. Those for one entity go one after the other, in
/// their order. What is not answered within its patience, its attempts included, ends as
/// `outcome_unknown`. A partition
/// that is held here by the time is served here.
courier_actor spawn_courier(caf::actor_system& sys, services_ptr s);

} // namespace runledger
