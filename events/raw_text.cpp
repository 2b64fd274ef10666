#include "events/raw_text.hpp"

#include <array>
#include <cstring>

namespace runledger {

namespace {

/// `00` to `ff`.
constexpr auto hex_pairs = [] {
  constexpr char digits[] = "0123456789abcdef";
  std::array<char, 512> out{};
  for (std::size_t i = 0; i < 256; ++i) {
    out[2 * i] = digits[i >> 4];
    out[2 * i + 1] = digits[i & 15];
  }
  return out;
}();

char* write_digits(char* at, std::int64_t value, int width) {
  for (int i = width; i-- > 0; value /= 10)
    at[i] = static_cast<char>('0' + value % 10);
  return at + width;
}

} // namespace

char* write_hex(char* at, const digest& d) {
  for (const auto byte : d.bytes) {
    std::memcpy(at, &hex_pairs[2 * std::size_t{byte}], 2);
    at += 2;
  }
  return at;
}

char* write_rfc3339(char* at, timestamp t) {
  using namespace std::chrono;
  const auto day = floor<days>(t);
  const year_month_day date{day};
  const auto ms = static_cast<std::int64_t>((t - day).count());
  const auto number = [&](std::int64_t value, int width, char behind) {
    at = write_digits(at, value, width);
    *at++ = behind;
  };
  number(static_cast<int>(date.year()), 4, '-');
  number(static_cast<unsigned>(date.month()), 2, '-');
  number(static_cast<unsigned>(date.day()), 2, 'T');
  number(ms / 3'600'000, 2, ':');
  number(ms / 60'000 % 60, 2, ':');
  number(ms / 1000 % 60, 2, '.');
  number(ms % 1000, 3, 'Z');
  return at;
}

} // namespace runledger
