#pragma once

#ifdef RUNLEDGER_PLANT_BUGS

#include "actors/services.hpp"
#include "events/fold.hpp"

#include <functional>
#include <variant>

namespace runledger {

/// What an entity's actor believes right after a commit, when none of its appends is in flight.
struct state_probe {
  const services& server;
  const stream_id& stream;
  const stream_head& head;
  std::variant<const run::state*, const session::state*, const agent::state*, const key::state*,
               const workspace::state*, const names::state*, const worker::state*>
      state;
};

/// The simulation compares it with its own fold of the ledger. Set by tests, one thread.
inline std::function<void(const state_probe&)> on_state_probe;

} // namespace runledger

#endif
