#pragma once

#include "actors/harness/fd.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace runledger::harness {

/// What a harness wrote to stderr, appended to a file that never grows beyond a bound.
class raw_log {
public:
  raw_log() = default;
  /// Opens or creates `path` (0600, its last folder too). What cannot be opened swallows what it is
  /// given.
  raw_log(const std::string& path, std::uint64_t most_bytes);

  /// The first piece that does not fit is replaced by one line that says so.
  void append(std::string_view piece);

private:
  unique_fd file_;
  std::uint64_t left_ = 0;
};

} // namespace runledger::harness
