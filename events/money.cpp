#include "events/money.hpp"

#include <fmt/format.h>

namespace runledger {

namespace {

constexpr std::int64_t micro = 1'000'000;
constexpr std::int64_t largest = 9'000'000'000'000 * micro;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// The digits of a decimal without its point, and the power of ten that scales them.
struct decimal {
  std::string digits;
  long exponent = 0;
};

std::optional<long> read_exponent(std::string_view text) {
  if (text.empty())
    return 0;
  text.remove_prefix(1); // 'e' or 'E'.
  bool negative = false;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text.empty() || text.size() > 6)
    return std::nullopt;
  long value = 0;
  for (char c : text) {
    if (!is_digit(c))
      return std::nullopt;
    value = value * 10 + (c - '0');
  }
  return negative ? -value : value;
}

std::optional<decimal> read_decimal(std::string_view text) {
  decimal out;
  std::size_t i = 0;
  while (i < text.size() && is_digit(text[i]))
    out.digits.push_back(text[i++]);
  if (i == 0)
    return std::nullopt;
  if (i < text.size() && text[i] == '.') {
    auto first = ++i;
    while (i < text.size() && is_digit(text[i])) {
      out.digits.push_back(text[i++]);
      --out.exponent;
    }
    if (i == first)
      return std::nullopt;
  }
  if (i < text.size() && text[i] != 'e' && text[i] != 'E')
    return std::nullopt;
  auto exponent = read_exponent(text.substr(i));
  if (!exponent)
    return std::nullopt;
  out.exponent += *exponent;
  return out;
}

std::string with_decimals(std::int64_t amount, std::size_t least_decimals) {
  auto whole = amount / micro;
  auto part = amount % micro;
  bool negative = amount < 0;
  if (part < 0)
    part = -part;
  auto decimals = fmt::format("{:06}", part);
  while (decimals.size() > least_decimals && decimals.back() == '0')
    decimals.pop_back();
  auto sign = negative && whole == 0 ? "-" : "";
  return decimals.empty() ? fmt::format("{}{}", sign, whole)
                          : fmt::format("{}{}.{}", sign, whole, decimals);
}

} // namespace

std::optional<micro_usd> parse_usd(std::string_view text) {
  auto d = read_decimal(text);
  if (!d)
    return std::nullopt;
  d->exponent += 6;
  auto first = d->digits.find_first_not_of('0');
  if (first == std::string::npos)
    return micro_usd{0};
  d->digits.erase(0, first);
  // The place of the point inside the digits, once they count micro-dollars.
  long point = static_cast<long>(d->digits.size()) + d->exponent;
  if (point < 0)
    return micro_usd{0};
  if (point > 19)
    return std::nullopt;
  std::int64_t value = 0;
  for (long i = 0; i < point; ++i) {
    int digit =
        i < static_cast<long>(d->digits.size()) ? d->digits[static_cast<std::size_t>(i)] - '0' : 0;
    if (value > (largest - digit) / 10)
      return std::nullopt;
    value = value * 10 + digit;
  }
  if (point < static_cast<long>(d->digits.size())
      && d->digits[static_cast<std::size_t>(point)] >= '5')
    ++value;
  return micro_usd{value};
}

std::string to_usd(micro_usd amount) {
  return with_decimals(count(amount), 0);
}

std::string to_usd_text(micro_usd amount) {
  return with_decimals(count(amount), 2);
}

} // namespace runledger
