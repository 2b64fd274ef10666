#include "events/copied_ledger.hpp"

#include <charconv>

namespace runledger {

std::string to_text(const origin_place& origin) {
  std::string out{origin.ledger};
  return out.append(":").append(origin.partition).append(":").append(std::to_string(origin.leaf));
}

std::optional<origin_place> read_origin(std::string_view text) {
  const auto first = text.find(':'), last = text.rfind(':');
  if (first == std::string_view::npos || first == last)
    return std::nullopt;
  origin_place out{text.substr(0, first), text.substr(first + 1, last - first - 1), 0};
  const auto digits = text.substr(last + 1);
  const auto [end, failed] = std::from_chars(digits.begin(), digits.end(), out.leaf);
  const bool sound = failed == std::errc{} && end == digits.end() && !out.ledger.empty()
                     && !out.partition.empty() && (digits == "0" || digits.front() != '0');
  return sound ? std::optional{out} : std::nullopt;
}

} // namespace runledger
