#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// How the timeline keeps where its items stand in the ledger: packed, in chunks of a fixed number
/// of items, so that a chunk's bytes follow from the events alone. Pure.
namespace runledger::views {

inline constexpr std::uint64_t chunk_items = 128;
constexpr std::uint64_t chunk_of(std::uint64_t seq) {
  return (seq - 1) / chunk_items;
}
constexpr std::uint64_t first_seq_of(std::uint64_t chunk) {
  return chunk * chunk_items + 1;
}

/// One item: where its event stands, to which turn it belongs (0: to none), what it means.
struct chunk_item {
  static constexpr std::uint8_t signal = 1;       ///< Part of the run's log.
  static constexpr std::uint8_t ends_run = 2;     ///< A terminal run_status.
  static constexpr std::uint8_t ends_session = 4; ///< session_terminated.
  std::int64_t offset = 0;                        ///< In the session's partition.
  std::uint64_t turn = 0;
  std::uint8_t flags = 0;
};

/// Appends an item. Offsets are written as the distance from `previous_offset`: the item before,
/// or the session's first event for the first of a chunk.
void append_item(std::string& chunk, const chunk_item& item, std::int64_t previous_offset);

/// Walks the items of a chunk.
class chunk_walker {
public:
  chunk_walker(std::string_view chunk, std::int64_t session_offset)
      : rest_(chunk), offset_(session_offset) {}
  /// The next item; nothing at the end (or where the bytes end too soon).
  std::optional<chunk_item> next();

private:
  std::optional<std::uint64_t> number();
  std::string_view rest_;
  std::int64_t offset_;
};

} // namespace runledger::views
