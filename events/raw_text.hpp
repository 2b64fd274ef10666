#pragma once

#include "events/digest.hpp"
#include "events/time.hpp"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

/// Text into memory that has room for it: what is hashed for each event costs no allocation. Every
/// function returns the place behind what it wrote.
namespace runledger {

inline char* write_text(char* at, std::string_view text) {
  return at + text.copy(at, std::string_view::npos);
}

constexpr std::size_t decimal_room = 20;
inline char* write_decimal(char* at, std::uint64_t n) {
  return std::to_chars(at, at + decimal_room, n).ptr;
}

/// 64 lower-case hex digits.
char* write_hex(char* at, const digest& d);

/// 24 characters: `2026-01-31T12:00:00.000Z`.
char* write_rfc3339(char* at, timestamp t);

} // namespace runledger
