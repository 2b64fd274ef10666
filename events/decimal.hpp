#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace runledger {

/// The exact value of a JSON number of any length: digits times a power of ten. Equal values have
/// equal members: no zero stands at either end of `digits`, and zero has none.
struct decimal {
  bool negative = false;
  std::string digits;
  std::int64_t exponent = 0;

  bool is_zero() const { return digits.empty(); }
  /// 1.0 and 1e2 are whole numbers, as JSON Schema has it.
  bool is_integer() const { return exponent >= 0; }
  friend bool operator==(const decimal&, const decimal&) = default;
};

/// Reads the text of a JSON number; it must be one. Exponents saturate far outside of a double's
/// range.
decimal parse_decimal(std::string_view number);

std::strong_ordering compare(const decimal& a, const decimal& b);

/// Whether `a` is `divisor` times a whole number. `divisor` is positive with at most 18 digits.
bool is_multiple(const decimal& a, const decimal& divisor);

} // namespace runledger
