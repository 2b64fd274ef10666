#pragma once

#include "events/digest.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// A single member of an event larger than this goes to the blob store (design rule 9).
constexpr std::size_t blob_threshold_bytes = 256 * 1024;

/// Content in the blob store: what an event names instead of carrying it.
struct blob_ref {
  digest id;              ///< SHA-256 of the content.
  std::uint64_t size = 0; ///< In bytes.
  friend bool operator==(const blob_ref&, const blob_ref&) = default;
};

enum class blob_errc : std::uint8_t { unavailable = 1, missing, damaged };

/// Content by digest, beside the ledger. `put` returns when content and folder are synced; an event
/// that names a blob is appended only after that. Putting the same content twice is one blob. Any
/// thread; calls block on disk.
class blob_store {
public:
  virtual ~blob_store() = default;
  virtual result<blob_ref, blob_errc> put(std::string_view content) = 0;
  /// Takes the rest of the open file `fd` (not closed). At most `max_size` bytes, else `damaged`.
  virtual result<blob_ref, blob_errc> put_file(int fd, std::uint64_t max_size) = 0;
  /// The whole content, checked against its digest.
  virtual result<std::string, blob_errc> get(const digest& id) const = 0;
  /// The file that holds it, for streaming downloads; nothing if the store keeps no files.
  virtual std::optional<std::string> path_of(const digest& id) const = 0;
};

} // namespace runledger
