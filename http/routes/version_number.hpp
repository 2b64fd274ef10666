#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace runledger::http {

/// A version's number in a path: 1 or more, in plain digits. Anything else names no version.
inline std::optional<std::int64_t> version_number(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (ec != std::errc{} || end != text.data() + text.size() || n < 1 || text.front() == '0')
    return std::nullopt;
  return n;
}

} // namespace runledger::http
