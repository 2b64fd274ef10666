#include "projections/replay/point.hpp"

#include <algorithm>
#include <charconv>

namespace runledger::replay {

namespace {

/// Decimal digits alone, within the range of an offset.
std::optional<std::int64_t> natural(std::string_view digits) {
  std::int64_t out = 0;
  const auto* end = digits.data() + digits.size();
  auto [stop, ec] = std::from_chars(digits.data(), end, out);
  if (ec != std::errc{} || stop != end || digits.front() == '-')
    return std::nullopt;
  return out;
}

} // namespace

std::optional<point> parse_point(std::string_view text) {
  constexpr std::string_view seq = "seq:", offset = "offset:";
  auto numbered = [](point::kind what, std::string_view digits) -> std::optional<point> {
    auto number = natural(digits);
    return number ? std::optional{point{what, *number, {}}} : std::nullopt;
  };
  if (text.starts_with(seq))
    return numbered(point::kind::seq, text.substr(seq.size()));
  if (text.starts_with(offset))
    return numbered(point::kind::offset, text.substr(offset.size()));
  if (auto plain = numbered(point::kind::seq, text))
    return plain;
  if (auto time = parse_rfc3339(text))
    return point{point::kind::time, 0, *time};
  return std::nullopt;
}

std::string to_text(const point& p) {
  switch (p.what) {
    case point::kind::seq:
      return "seq:" + std::to_string(p.number);
    case point::kind::offset:
      return "offset:" + std::to_string(p.number);
    case point::kind::time:
      break;
  }
  return to_rfc3339(p.time);
}

result<reach, read_error> reach::of(const point& p, const event_log& log, const stream_id& own) {
  reach out;
  switch (p.what) {
    case point::kind::time:
      out.time_ = p.time;
      return out;
    case point::kind::offset:
      out.offset_ = p.number;
      return out;
    case point::kind::seq:
      break;
  }
  const auto seq = static_cast<std::uint64_t>(p.number);
  auto read = log.read_stream(own, std::max<std::uint64_t>(seq, 1), 1);
  if (!read)
    return read.error();
  if (!read->empty())
    out.offset_ = read->front()->offset - (seq == 0 ? 1 : 0);
  return out;
}

} // namespace runledger::replay
