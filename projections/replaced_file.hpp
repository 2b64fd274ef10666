#pragma once

#include <atomic>
#include <cstdint>
#include <shared_mutex>

namespace runledger::views {

/// What the writer of a views' file that may be replaced by another shares with its readers. A
/// connection that is opened in the middle of a replacement would join the side files of one file
/// to the other: so the writer has `turn` alone while it replaces and opens the file, and readers
/// share it while they open it.
struct replaced_file {
  std::atomic<std::uint64_t> count{0}; ///< Of replacements; raised when the new file can be opened.
  std::shared_mutex turn;
};

} // namespace runledger::views
