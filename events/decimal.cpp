#include "events/decimal.hpp"

#include <algorithm>

namespace runledger {

namespace {

constexpr std::int64_t exponent_limit = 1'000'000'000;

std::int64_t parse_exponent(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text.front() == '+' || text.front() == '-')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  std::int64_t n = 0;
  for (char c : text)
    n = std::min(n * 10 + (c - '0'), exponent_limit);
  return negative ? -n : n;
}

} // namespace

decimal parse_decimal(std::string_view number) {
  decimal out;
  if (number.starts_with('-')) {
    out.negative = true;
    number.remove_prefix(1);
  }
  const auto e = std::min(number.find_first_of("eE"), number.size());
  if (e < number.size())
    out.exponent = parse_exponent(number.substr(e + 1));
  bool behind_point = false;
  for (char c : number.substr(0, e)) {
    if (c == '.') {
      behind_point = true;
      continue;
    }
    if (behind_point)
      --out.exponent;
    if (c != '0' || !out.digits.empty())
      out.digits.push_back(c);
  }
  while (!out.digits.empty() && out.digits.back() == '0') {
    out.digits.pop_back();
    ++out.exponent;
  }
  return out.digits.empty() ? decimal{} : out;
}

std::strong_ordering compare(const decimal& a, const decimal& b) {
  if (a.is_zero() || b.is_zero() || a.negative != b.negative) {
    const int sign_a = a.is_zero() ? 0 : (a.negative ? -1 : 1);
    const int sign_b = b.is_zero() ? 0 : (b.negative ? -1 : 1);
    return sign_a <=> sign_b;
  }
  const auto top_a = a.exponent + static_cast<std::int64_t>(a.digits.size());
  const auto top_b = b.exponent + static_cast<std::int64_t>(b.digits.size());
  // Neither ends with a zero, so of two equal beginnings the longer one is greater.
  const auto size = top_a != top_b ? top_a <=> top_b : a.digits.compare(b.digits) <=> 0;
  return a.negative ? 0 <=> size : size;
}

bool is_multiple(const decimal& a, const decimal& divisor) {
  if (a.is_zero())
    return true;
  if (a.exponent < divisor.exponent) // It has a digit below the last one of any multiple.
    return false;
  std::uint64_t by = 0, rest = 0;
  for (char c : divisor.digits)
    by = by * 10 + static_cast<std::uint64_t>(c - '0');
  const auto next = [&](unsigned digit) {
    // Below 10^18 * 10 + 9: no overflow.
    rest = (rest * 10 + digit) % by;
  };
  for (char c : a.digits)
    next(static_cast<unsigned>(c - '0'));
  for (auto i = a.exponent - divisor.exponent; i > 0 && rest != 0; --i)
    next(0);
  return rest == 0;
}

} // namespace runledger
