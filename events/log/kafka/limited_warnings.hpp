#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace runledger::kafka {

/// Says what comes often only some times: the first lines of a minute, and then how many were left
/// out. One thread.
class limited_warnings {
public:
  using clock = std::chrono::steady_clock;
  using sink = std::function<void(int level, std::string_view line)>;

  explicit limited_warnings(sink to) : to_(std::move(to)) {}

  void say(std::string_view line, clock::time_point now = clock::now()) {
    if (now - began_ >= period) {
      flush();
      began_ = now;
      said_ = 0;
    }
    if (said_ >= most_said) {
      ++left_out_;
      return;
    }
    ++said_;
    if (to_)
      to_(4, line);
  }

private:
  static constexpr std::chrono::minutes period{1};
  static constexpr std::uint64_t most_said = 10;

  void flush() {
    if (left_out_ > 0 && to_)
      to_(4, std::to_string(left_out_) + " more such warnings were left out");
    left_out_ = 0;
  }

  sink to_;
  clock::time_point began_ = clock::time_point{} - period; // Long ago.
  std::uint64_t said_ = 0, left_out_ = 0;
};

} // namespace runledger::kafka
