#include "events/time.hpp"

#include "events/raw_text.hpp"

namespace runledger {

namespace {

/// Reads exactly `width` digits at `at`, or nothing.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t width) {
  if (at + width > text.size())
    return std::nullopt;
  int value = 0;
  for (std::size_t i = at; i < at + width; ++i) {
    if (text[i] < '0' || text[i] > '9')
      return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

/// `Z` or `+hh:mm`, as minutes east of UTC.
std::optional<int> zone_minutes(std::string_view zone) {
  if (zone == "Z" || zone == "z")
    return 0;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':')
    return std::nullopt;
  auto hours = digits(zone, 1, 2), minutes = digits(zone, 4, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59)
    return std::nullopt;
  int total = *hours * 60 + *minutes;
  return zone[0] == '-' ? -total : total;
}

} // namespace

void append_rfc3339(std::string& out, timestamp t) {
  char text[24];
  out.append(text, write_rfc3339(text, t));
}

std::string to_rfc3339(timestamp t) {
  std::string out;
  out.reserve(24);
  append_rfc3339(out, t);
  return out;
}

std::optional<timestamp> parse_rfc3339(std::string_view text) {
  using namespace std::chrono;
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || (text[10] != 'T' && text[10] != 't')
      || text[13] != ':' || text[16] != ':')
    return std::nullopt;
  auto y = digits(text, 0, 4), mo = digits(text, 5, 2), d = digits(text, 8, 2);
  auto h = digits(text, 11, 2), mi = digits(text, 14, 2), s = digits(text, 17, 2);
  if (!y || !mo || !d || !h || !mi || !s || *h > 23 || *mi > 59 || *s > 60)
    return std::nullopt;
  year_month_day date{year{*y}, month{static_cast<unsigned>(*mo)}, day{static_cast<unsigned>(*d)}};
  if (!date.ok())
    return std::nullopt;
  std::size_t at = 19;
  int ms = 0;
  if (text[at] == '.') {
    auto first = ++at;
    for (int scale = 100; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, scale /= 10)
      ms += (text[at] - '0') * scale;
    if (at == first)
      return std::nullopt;
  }
  auto zone = zone_minutes(text.substr(at));
  if (!zone)
    return std::nullopt;
  return timestamp{sys_days{date}} + hours{*h} + minutes{*mi - *zone} + seconds{*s}
         + milliseconds{ms};
}

} // namespace runledger
