#include "http/requests/as_of.hpp"

namespace runledger::http {

std::optional<replay::point> read_as_of(query_reader& in, bool has_seq) {
  const auto text = in.text("as_of");
  if (text.empty())
    return std::nullopt;
  const auto point = replay::parse_point(text);
  if (!point) {
    in.complain("as_of",
                "A point in the past is expected: `seq:N` or `N`, `offset:N`, or an RFC 3339 time "
                "such as 2026-01-31T12:00:00Z.",
                "as_of_parsing");
  } else if (!has_seq && point->what == replay::point::kind::seq) {
    in.complain("as_of",
                "These sums come from many streams and have no seq: name an offset or a "
                "time.",
                "as_of_seq");
  }
  return point;
}

} // namespace runledger::http
