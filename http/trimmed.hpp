#pragma once

#include <string_view>

namespace runledger::http {

/// What may stand around a field's value (RFC 9110, section 5.6.3).
constexpr bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

/// The text without the blanks at its ends.
constexpr std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  return text;
}

} // namespace runledger::http
