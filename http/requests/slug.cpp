#include "http/requests/slug.hpp"

#include "events/digest.hpp"

#include <algorithm>

namespace runledger::http {

namespace {

constexpr std::size_t slug_length_max = 64;

bool in_slugs(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

} // namespace

bool is_slug(std::string_view text) {
  return !text.empty() && text.size() <= slug_length_max && in_slugs(text.front())
         && in_slugs(text.back())
         && std::ranges::all_of(text, [](char c) { return in_slugs(c) || c == '-'; });
}

std::string slug_from_name(std::string_view name) {
  std::string slug;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z')
      c = static_cast<char>(c - 'A' + 'a');
    if (in_slugs(c))
      slug.push_back(c);
    else if (!slug.empty() && slug.back() != '-')
      slug.push_back('-');
  }
  if (slug.size() > slug_length_max)
    slug.resize(slug_length_max);
  while (!slug.empty() && slug.back() == '-')
    slug.pop_back();
  return slug.empty() ? "agent-" + to_hex(sha256(name)).substr(0, 8) : slug;
}

} // namespace runledger::http
