#pragma once

#include "events/raw_text.hpp"

#include <cstddef>
#include <string>
#include <string_view>

/// The text that hashes and signatures cover (docs/events.md): one line an attribute, with the
/// length of its value, so that no value can be mistaken for another attribute.
namespace runledger {

/// What a line needs beside its name and its value.
constexpr std::size_t attribute_room = decimal_room + 3;

/// `<name>=<length in bytes>:<value>` and a line feed, into memory that has room for it. The value
/// may come in pieces.
inline char* write_attribute(char* at, std::string_view name, std::string_view value,
                             std::string_view more = {}, std::string_view still_more = {}) {
  at = write_text(at, name);
  *at++ = '=';
  at = write_decimal(at, value.size() + more.size() + still_more.size());
  *at++ = ':';
  at = write_text(write_text(write_text(at, value), more), still_more);
  *at++ = '\n';
  return at;
}

inline void append_attribute(std::string& out, std::string_view name, std::string_view value) {
  const auto before = out.size();
  out.resize(before + name.size() + value.size() + attribute_room);
  const auto* end = write_attribute(out.data() + before, name, value);
  out.resize(static_cast<std::size_t>(end - out.data()));
}

} // namespace runledger
