#include "events/log/kafka/blob_chunks.hpp"

#include <charconv>

namespace runledger::kafka {

namespace {

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t out = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (ec != std::errc{} || end != text.data() + text.size())
    return std::nullopt;
  return out;
}

} // namespace

std::optional<chunk> read_chunk(const record_view& r) {
  const auto id = r.key ? digest_from_hex(*r.key) : std::nullopt;
  std::optional<std::uint64_t> place, size;
  for (const auto& h : r.headers) {
    if (h.name == chunk_header && h.value)
      place = whole_number(*h.value);
    if (h.name == size_header && h.value)
      size = whole_number(*h.value);
  }
  if (!id || !place || !size || *size > blob_bytes_max || *place >= chunks_of(*size))
    return std::nullopt;
  const chunk out{*id, *place, *size, r.value.value_or("")};
  return out.bytes.size() == bytes_of_chunk(*place, *size) ? std::optional{out} : std::nullopt;
}

} // namespace runledger::kafka
