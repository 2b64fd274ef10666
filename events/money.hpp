#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// Money: an integer count of micro-dollars (1 USD = 1,000,000).
enum class micro_usd : std::int64_t {};

constexpr std::int64_t count(micro_usd m) {
  return static_cast<std::int64_t>(m);
}
/// Sums saturate at the ends of the range: a bill never wraps around.
constexpr micro_usd operator+(micro_usd a, micro_usd b) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(count(a), count(b), &sum))
    return micro_usd{count(b) > 0 ? INT64_MAX : INT64_MIN};
  return micro_usd{sum};
}
constexpr micro_usd& operator+=(micro_usd& a, micro_usd b) {
  return a = a + b;
}

/// Reads a JSON number or the text of one (`0.52`, `1e-3`), rounded half up to micro-dollars.
/// Nothing for anything else, for a negative amount, or beyond 9,000,000,000,000 USD.
std::optional<micro_usd> parse_usd(std::string_view decimal);

/// The shortest JSON number with at most 6 decimals: `0`, `0.52`, `12.000001`.
std::string to_usd(micro_usd amount);

/// For sentences: 2 to 6 decimals, as many as needed: `0.50`, `0.525`.
std::string to_usd_text(micro_usd amount);

} // namespace runledger
