#pragma once

#include "actors/services.hpp"

namespace caf {
class actor_system;
}

namespace runledger {

/// Starts the way to the ledger. It takes whatever is queued into one group (bounded by count and
/// bytes), never waits to fill one, and has one group at the log at a time. A log that answers
/// later is watched: after `watchdog_ms` the group's writers hear `unknown`.
ledger_gateway spawn_ledger_gateway(caf::actor_system& sys, services_ptr s,
                                    std::int64_t watchdog_ms = 30'000);

} // namespace runledger
