#pragma once

#include "http/router.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::http {

/// Latencies in fixed buckets.
struct histogram {
  /// Upper bounds in microseconds; one more bucket holds what lies above.
  static constexpr std::array<std::uint64_t, 14> bounds_us = {
      250,    500,     1'000,   2'500,   5'000,     10'000,    25'000,
      50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 10'000'000};
  std::array<std::uint64_t, bounds_us.size() + 1> counts{};
  std::uint64_t sum_us = 0;

  void add(std::chrono::nanoseconds took);
};

/// What the edge counts since its start. Written and read on the HTTP thread, so without locks.
class counters {
public:
  explicit counters(std::span<const route> table);

  std::uint64_t connections_open = 0;
  std::uint64_t connections_accepted = 0;
  std::uint64_t refused_over_total = 0;
  std::uint64_t refused_over_address = 0;
  std::uint64_t dropped_over_limit = 0; // Of both: without an answer.
  std::uint64_t accept_errors = 0;
  std::uint64_t framing_errors = 0;
  std::uint64_t deadlines_passed = 0; // Requests answered 503 because their handler took too long.
  std::uint64_t abandoned = 0;        // Clients that left before the answer.
  std::uint64_t dropped = 0;          // Replies destroyed unfinished.
  std::uint64_t streams_open = 0;
  std::uint64_t streams_overrun = 0; // Event streams cut because the client read too slowly.
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;

  /// Counts one answered request. `which` null: no route matched.
  void answered(const route* which, http::status code);
  /// Adds to the histogram of the route's group.
  void timed(const route* which, std::chrono::nanoseconds took);

  /// Requests of one route by class of status, 1xx to 5xx at 1 to 5.
  std::span<const std::uint64_t> of_route(const route* which) const;

  /// Appends all figures in Prometheus' text format, names beginning with `runledger_http_`.
  void write_prometheus(std::string& out) const;

private:
  std::size_t index_of(const route* which) const;

  std::span<const route> table_;
  std::vector<std::array<std::uint64_t, 6>> by_route_; // The last row: no route.
  std::vector<std::string_view> groups_;
  std::vector<std::size_t> group_of_route_;
  std::vector<histogram> latencies_;
};

} // namespace runledger::http
