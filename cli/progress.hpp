#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

namespace runledger::cli {

/// How far a long command is, on stderr: on a terminal a bar with rate and remaining time, drawn
/// over itself; elsewhere a plain line now and then. Nothing for what is over within a second. One
/// thread.
class progress {
public:
  using clock = std::function<std::chrono::steady_clock::time_point()>;
  using writer = std::function<void(const std::string&)>;

  /// `what` precedes each line (`verify`), `unit` is counted (`events`).
  progress(std::string what, std::string unit);
  /// With the outside given: for tests.
  progress(std::string what, std::string unit, bool on_terminal, clock now, writer write);
  ~progress() { finish(); }
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  /// `done` of `total` are done. Cheap: it looks at the clock and seldom writes.
  void update(std::uint64_t done, std::uint64_t total);
  /// Takes the bar away, so that the next line begins at the left.
  void finish();

private:
  std::string line(double seconds) const;
  std::string bar(double seconds) const;

  std::string what_, unit_;
  bool on_terminal_;
  clock now_;
  writer write_;
  std::chrono::steady_clock::time_point began_;
  std::optional<std::chrono::steady_clock::time_point> shown_;
  std::uint64_t done_ = 0, total_ = 0;
};

/// `1,234,567`.
std::string with_commas(std::uint64_t n);

} // namespace runledger::cli
