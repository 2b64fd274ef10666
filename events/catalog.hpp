#pragma once

#include "events/envelope.hpp"

#include <span>
#include <string_view>

namespace runledger {

/// One type of event that this binary knows. docs/events.md prints this table; a test compares
/// them.
struct event_type {
  std::string_view name; ///< `run.started`
  int version;           ///< The newest; older ones are lifted by the codec.
  std::string_view
      timeline_item; ///< The item that it becomes in its session's timeline; empty: it takes no
                     ///< seq. Decided for good once released: a timeline's seq never changes.
  std::string_view summary;
};

std::span<const event_type> event_catalog();

/// By full type; nullptr for a name or version that this binary does not know.
const event_type* find_event_type(std::string_view full);

} // namespace runledger
