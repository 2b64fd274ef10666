#pragma once

#include "actors/harness/fd.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace runledger::harness {

/// What a harness wrote to stderr, appended to a file that never grows beyond a bound.
class raw_log {
public:
  raw_log() = default;
  /// Opens or creates `path` (0600, its last folder too) when the first piece comes: most runs say
  /// nothing, and a file for each costs more than the run. What cannot be opened swallows what it
  /// is given.
  raw_log(std::string path, std::uint64_t most_bytes)
      : path_(std::move(path)), most_bytes_(most_bytes) {}

  /// The first piece that does not fit is replaced by one line that says so.
  void append(std::string_view piece);

private:
  void open();

  std::string path_; // Empty: opened, or nowhere.
  std::uint64_t most_bytes_ = 0;
  unique_fd file_;
  std::uint64_t left_ = 0;
};

} // namespace runledger::harness
