#pragma once

#include "events/digest.hpp"
#include "events/envelope.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace runledger {

/// Content in the blob store that an event names.
struct named_content {
  digest id;
  std::optional<std::uint64_t> size; ///< Nothing: the event does not say.
};

/// Every content that an event names: payloads that it does not carry itself (`blobs`), and the
/// file of an artifact. What cannot be read is left out.
std::vector<named_content> named_contents(const envelope& e);

} // namespace runledger
