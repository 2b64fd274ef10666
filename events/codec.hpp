#pragma once

#include "events/agent.hpp"
#include "events/audit.hpp"
#include "events/catalog.hpp"
#include "events/catalog_entry.hpp"
#include "events/envelope.hpp"
#include "events/result.hpp"
#include "events/run.hpp"
#include "events/session.hpp"

#include <string>

namespace runledger {

/// A fact as it is written: the full type and the exact bytes of `data`.
struct encoded_fact {
  std::string type, data;
};

enum class decode_errc : std::uint8_t {
  unknown_type =
      1,   ///< A name or version that this binary does not know: newer, or of another entity.
  damaged, ///< A known type whose data cannot be read.
};

/// Any of the entities' event variants: run::event, session::event, agent::event, key::event,
/// workspace::event, names::event, worker::event, audit::event. Old versions are lifted here;
/// nobody behind sees them.
template <class Event>
encoded_fact encode(const Event& fact);
template <class Event>
result<Event, decode_errc> decode(const envelope& e);

/// Moves every payload over the threshold into the store; false if the store could not take it.
template <class Event>
bool externalize_event(Event& fact, blob_store& store) {
  return std::visit([&](auto& one) { return externalize(one, store); }, fact);
}

} // namespace runledger
