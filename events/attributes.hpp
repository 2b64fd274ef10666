#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

/// The text that hashes and signatures cover (docs/events.md): one line an attribute, with the
/// length of its value, so that no value can be mistaken for another attribute.
namespace runledger {

inline void append_decimal(std::string& out, std::uint64_t n) {
  char text[24];
  auto [end, ec] = std::to_chars(text, text + sizeof text, n);
  out.append(text, end);
}

/// `<name>=<length in bytes>:<value>` and a line feed.
inline void append_attribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.push_back('=');
  append_decimal(out, value.size());
  out.push_back(':');
  out.append(value);
  out.push_back('\n');
}

} // namespace runledger
