#include "http/target.hpp"

#include <cstdint>

namespace runledger::http {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

/// Length of the UTF-8 sequence at the start of `text`, which begins with a byte over 0x7f; 0 if
/// malformed.
std::size_t sequence_length(std::string_view text) {
  auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  std::size_t length = 0;
  std::uint8_t low = 0x80, high = 0xbf; // Bounds of the second byte.
  if (first >= 0xc2 && first <= 0xdf) {
    length = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    length = 3;
    low = first == 0xe0 ? 0xa0 : 0x80;
    high = first == 0xed ? 0x9f : 0xbf;
  } else if (first >= 0xf0 && first <= 0xf4) {
    length = 4;
    low = first == 0xf0 ? 0x90 : 0x80;
    high = first == 0xf4 ? 0x8f : 0xbf;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high)
    return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf)
      return 0;
  return length;
}

} // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    if (static_cast<std::uint8_t>(text[0]) < 0x80) {
      text.remove_prefix(1);
      continue;
    }
    const std::size_t length = sequence_length(text);
    if (length == 0)
      return false;
    text.remove_prefix(length);
  }
  return true;
}

std::optional<std::string_view> decode_escapes(std::string_view text, bool plus_is_space,
                                               text_store& store) {
  if (text.find_first_of(plus_is_space ? "%+" : "%") == text.npos)
    return text;
  auto out = std::make_unique<std::string>();
  out->reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      *out += ' ';
    } else if (text[i] != '%') {
      *out += text[i];
    } else {
      if (text.size() - i < 3)
        return std::nullopt;
      const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0 || (high == 0 && low == 0))
        return std::nullopt;
      *out += static_cast<char>(high * 16 + low);
      i += 2;
    }
  }
  if (!is_utf8(*out))
    return std::nullopt;
  store.push_back(std::move(out));
  return *store.back();
}

} // namespace runledger::http
