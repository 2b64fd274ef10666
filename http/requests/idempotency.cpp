#include "http/requests/idempotency.hpp"

#include <algorithm>

namespace runledger::http {

namespace {

constexpr std::size_t key_length_max = 255;

/// The text inside the quotes, with `\"` and `\\` unescaped (RFC 8941); nothing if malformed.
std::optional<std::string> unquote(std::string_view text) {
  std::string out;
  for (std::size_t at = 1; at + 1 < text.size(); ++at) {
    if (text[at] == '"')
      return std::nullopt;
    if (text[at] == '\\') {
      ++at;
      if (at + 1 >= text.size() || (text[at] != '"' && text[at] != '\\'))
        return std::nullopt;
    }
    out.push_back(text[at]);
  }
  return out;
}

} // namespace

result<std::string, problem> read_idempotency_key(std::string_view field) {
  std::optional<std::string> key;
  if (field.size() >= 2 && field.front() == '"' && field.back() == '"')
    key = unquote(field);
  else if (field.find('"') == std::string_view::npos)
    key = std::string{field};
  const bool sound = key && !key->empty() && key->size() <= key_length_max
                     && std::ranges::all_of(*key, [](char c) { return c >= 0x21 && c <= 0x7E; });
  if (!sound) {
    auto why = problem::of(fault::bad_request, "Idempotency-Key takes 1 to 255 visible ASCII "
                                               "characters, bare or in double quotes.");
    why.code = "bad_idempotency_key";
    return why;
  }
  return std::move(*key);
}

digest fingerprint_of(const json::value& body) {
  return sha256(json::canonical_bytes(body));
}

digest fingerprint_of_nothing() {
  return sha256({});
}

} // namespace runledger::http
