#pragma once

#include "events/digest.hpp"
#include "events/log/kafka/client.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

/// The form of a blob's records (docs/events.md, Payloads and blobs). Pure.
namespace runledger::kafka {

/// Of a blob's bytes in one record; the last has the rest.
constexpr std::size_t chunk_bytes = 512 * 1024;
constexpr std::string_view chunk_header = "runledger_chunk", size_header = "runledger_size";
/// No blob is larger: what says so is no part of one.
constexpr std::uint64_t blob_bytes_max = std::uint64_t{4} << 30;

/// How many records a blob has.
constexpr std::uint64_t chunks_of(std::uint64_t size) {
  return size == 0 ? 1 : (size + chunk_bytes - 1) / chunk_bytes;
}
/// How many bytes one of them has.
constexpr std::uint64_t bytes_of_chunk(std::uint64_t number, std::uint64_t size) {
  return size - number * chunk_bytes < chunk_bytes ? size - number * chunk_bytes : chunk_bytes;
}

/// What a record says of itself.
struct chunk {
  digest blob;
  std::uint64_t number = 0, size = 0; ///< Place of the chunk; bytes of the whole blob.
  std::string_view bytes;             ///< Of the record.
};
/// Nothing: the record is no part of a blob.
std::optional<chunk> read_chunk(const record_view& r);

} // namespace runledger::kafka
