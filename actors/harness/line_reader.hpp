#pragma once

#include "actors/harness/protocol.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace runledger::harness {

/// A token bucket: `rate` a second on average, `burst` at once. Starts full.
class token_bucket {
public:
  token_bucket() : token_bucket(0, 0) {} ///< Gives nothing.
  token_bucket(std::uint64_t rate, std::uint64_t burst)
      : rate_(static_cast<double>(rate)), burst_(static_cast<double>(burst)), tokens_(burst_) {}

  /// Takes `n`; false if there are not as many.
  bool take(std::uint64_t n, std::int64_t now_ms) {
    if (last_ms_ >= 0)
      tokens_ = std::min(burst_, tokens_ + rate_ * static_cast<double>(now_ms - last_ms_) / 1000.0);
    last_ms_ = now_ms;
    if (tokens_ < static_cast<double>(n))
      return false;
    tokens_ -= static_cast<double>(n);
    return true;
  }

  /// Gives `n` back; never above the burst.
  void give(std::uint64_t n) { tokens_ = std::min(burst_, tokens_ + static_cast<double>(n)); }

private:
  double rate_, burst_, tokens_;
  std::int64_t last_ms_ = -1;
};

/// Cuts a stream of bytes into lines of at most 1 MiB.
class line_reader {
public:
  /// Calls on_line(std::string_view) for each line that is complete now, until it returns false.
  /// False if a line is too long: then `rest` is its beginning.
  template <class OnLine>
  bool feed(std::string_view bytes, OnLine on_line) {
    // Without a remainder the lines are taken from where they are.
    if (!rest_.empty()) {
      auto end = bytes.find('\n');
      rest_.append(bytes.substr(0, end));
      if (rest_.size() > max_line_bytes)
        return false;
      if (end == std::string_view::npos)
        return true;
      bytes.remove_prefix(end + 1);
      auto line = std::move(rest_);
      rest_.clear();
      if (!on_line(std::string_view{line}))
        return true;
    }
    while (true) {
      auto end = bytes.find('\n');
      auto line = bytes.substr(0, end);
      if (line.size() > max_line_bytes || end == std::string_view::npos) {
        rest_ = line;
        return line.size() <= max_line_bytes;
      }
      bytes.remove_prefix(end + 1);
      if (!on_line(line))
        return true;
    }
  }
  std::string_view rest() const { return rest_; }

private:
  std::string rest_;
};

} // namespace runledger::harness
