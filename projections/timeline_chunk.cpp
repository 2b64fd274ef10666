#include "projections/timeline_chunk.hpp"

namespace runledger::views {

namespace {

/// Seven bits a byte, the lowest first; the topmost bit says that more follow.
void append_number(std::string& out, std::uint64_t number) {
  while (number >= 0x80) {
    out.push_back(static_cast<char>(number | 0x80));
    number >>= 7;
  }
  out.push_back(static_cast<char>(number));
}

} // namespace

void append_item(std::string& chunk, const chunk_item& item, std::int64_t previous_offset) {
  append_number(chunk, static_cast<std::uint64_t>(item.offset - previous_offset));
  chunk.push_back(static_cast<char>(item.flags));
  append_number(chunk, item.turn);
}

std::optional<std::uint64_t> chunk_walker::number() {
  std::uint64_t out = 0;
  for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
    auto byte = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    out |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80)
      return out;
  }
  return std::nullopt;
}

std::optional<chunk_item> chunk_walker::next() {
  auto distance = number();
  if (!distance || rest_.empty())
    return std::nullopt;
  chunk_item out;
  offset_ += static_cast<std::int64_t>(*distance);
  out.offset = offset_;
  out.flags = static_cast<std::uint8_t>(rest_.front());
  rest_.remove_prefix(1);
  auto turn = number();
  if (!turn)
    return std::nullopt;
  out.turn = *turn;
  return out;
}

} // namespace runledger::views
