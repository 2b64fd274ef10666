#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the timer wheel: at its due time a stream is woken through the directory, live or
/// passivated. It looks at the wall clock at least once a second while anything is armed, so a jump
/// of the clock neither loses a timer nor holds one back for long; firing twice is harmless,
/// because what fires is decided on the state. With nothing armed it does not wake up.
timer_wheel_actor spawn_timer_wheel(caf::actor_system& sys, services_ptr s);

} // namespace runledger
