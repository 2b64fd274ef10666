#include "events/json_schema_format.hpp"

#include "events/time.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <string>

namespace runledger::json_schema {

namespace {

bool is_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool date_time(std::string_view text) {
  return parse_rfc3339(text).has_value();
}
bool date(std::string_view text) {
  return text.size() == 10 && date_time(std::string{text} + "T00:00:00Z");
}
bool time_of_day(std::string_view text) {
  return date_time("2000-01-01T" + std::string{text});
}

template <int Family>
bool address(std::string_view text) {
  unsigned char out[16];
  const std::string copy{text};
  return copy.size() == text.size() && copy.find('\0') == copy.npos
         && ::inet_pton(Family, copy.c_str(), out) == 1;
}

bool hostname(std::string_view text) {
  if (text.empty() || text.size() > 253)
    return false;
  for (std::size_t at = 0; at <= text.size();) {
    const auto dot = std::min(text.find('.', at), text.size());
    const auto label = text.substr(at, dot - at);
    const bool sound =
        !label.empty() && label.size() <= 63 && is_alnum(label.front()) && is_alnum(label.back())
        && std::ranges::all_of(label, [](char c) { return is_alnum(c) || c == '-'; });
    if (!sound)
      return false;
    at = dot + 1;
  }
  return true;
}

/// One `@` with a local part without spaces before it and a host name behind it.
bool email(std::string_view text) {
  const auto at = text.rfind('@');
  if (at == text.npos || at == 0 || at > 64)
    return false;
  const auto local = text.substr(0, at);
  return std::ranges::all_of(local, [](char c) { return c > ' ' && c != '@' && c != 0x7F; })
         && hostname(text.substr(at + 1));
}

/// A scheme, a colon, and characters that may stand in a URI (RFC 3986).
bool uri(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == text.npos || colon == 0 || !(is_alnum(text[0]) && !(text[0] <= '9')))
    return false;
  const auto scheme = text.substr(0, colon);
  if (!std::ranges::all_of(scheme,
                           [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; }))
    return false;
  constexpr std::string_view marks = "-._~:/?#[]@!$&'()*+,;=%";
  for (std::size_t i = colon + 1; i < text.size(); ++i) {
    if (!is_alnum(text[i]) && marks.find(text[i]) == marks.npos)
      return false;
    if (text[i] == '%' && (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])))
      return false;
  }
  return true;
}

bool uuid(std::string_view text) {
  if (text.size() != 36)
    return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i]))
      return false;
  }
  return true;
}

struct row {
  std::string_view name;
  format_test test;
};
constexpr row rows[] = {
    {"date-time", date_time},
    {"date", date},
    {"time", time_of_day},
    {"ipv4", address<AF_INET>},
    {"ipv6", address<AF_INET6>},
    {"hostname", hostname},
    {"email", email},
    {"uri", uri},
    {"uuid", uuid},
};

} // namespace

format_test find_format(std::string_view name) {
  for (const auto& each : rows)
    if (each.name == name)
      return each.test;
  return nullptr;
}

} // namespace runledger::json_schema
