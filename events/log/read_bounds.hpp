#pragma once

#include "events/log/event_log.hpp"

#include <cstddef>

/// What the ledgers' reading and remembering is bounded by.
namespace runledger {

/// One page of a partition ends after the event with which it has so many bytes of data.
inline constexpr std::size_t read_bytes_limit = 8 * 1024 * 1024;
/// Connections to a ledger's file that wait for the next reader; what comes back beyond is closed.
inline constexpr std::size_t idle_readers_kept = 4;

/// What a record takes in memory, about, in bytes.
inline std::size_t weight(const record& r) {
  return r.event.data.size() + 640;
}

} // namespace runledger
