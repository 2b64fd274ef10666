#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// Wall-clock time in UTC with the precision that the ledger keeps.
using timestamp = std::chrono::sys_time<std::chrono::milliseconds>;

constexpr std::int64_t to_ms(timestamp t) {
  return t.time_since_epoch().count();
}
constexpr timestamp from_ms(std::int64_t ms) {
  return timestamp{std::chrono::milliseconds{ms}};
}

/// RFC 3339, always `2026-01-31T23:59:59.123Z`. Years 0000 to 9999.
std::string to_rfc3339(timestamp t);
void append_rfc3339(std::string& out, timestamp t);

/// Any RFC 3339 time (zone offsets and fractions of any length, cut to milliseconds); nothing else.
std::optional<timestamp> parse_rfc3339(std::string_view text);

/// Where time comes from; tests and the simulation pass their own.
class wall_clock {
public:
  virtual ~wall_clock() = default;
  virtual timestamp now() const = 0;
};

/// The clock of the machine.
class system_wall_clock final : public wall_clock {
public:
  timestamp now() const override {
    return std::chrono::time_point_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now());
  }
};

} // namespace runledger
