#include "http/requests/preferences.hpp"

#include "http/trimmed.hpp"
#include "http/vocabulary.hpp"

#include <algorithm>

namespace runledger::http {

namespace {

constexpr std::int64_t wait_max_s = 300;

/// Cuts the text before the first `separator` that does not stand in quotes off `rest`.
std::string_view cut(std::string_view& rest, char separator) {
  bool quoted = false;
  std::size_t at = 0;
  for (; at < rest.size(); ++at) {
    if (rest[at] == '"')
      quoted = !quoted;
    else if (quoted && rest[at] == '\\')
      ++at;
    else if (!quoted && rest[at] == separator)
      break;
  }
  at = std::min(at, rest.size());
  auto piece = rest.substr(0, at);
  rest.remove_prefix(std::min(at + 1, rest.size()));
  return trimmed(piece);
}

std::optional<std::chrono::seconds> read_seconds(std::string_view text) {
  if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
    text = text.substr(1, text.size() - 2);
  if (text.empty() || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }))
    return std::nullopt;
  std::int64_t value = 0;
  for (char c : text)
    value = std::min(value * 10 + (c - '0'), wait_max_s);
  return std::chrono::seconds{value};
}

} // namespace

std::optional<std::chrono::seconds> read_wait(std::string_view prefer) {
  while (!prefer.empty()) {
    auto preference = cut(prefer, ',');
    auto first = cut(preference, ';'); // Parameters behind the semicolon mean nothing here.
    auto name = cut(first, '=');
    if (same_text(name, "wait"))
      return read_seconds(trimmed(first)); // The first one counts (RFC 7240, section 2).
  }
  return std::nullopt;
}

} // namespace runledger::http
