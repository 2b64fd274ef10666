#include "projections/timeline_chunk.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace runledger::views {
namespace {

// Goal: what was packed comes back, for small and large distances, turns and flags.
TEST(timeline_chunk, items_come_back) {
  std::vector<chunk_item> items{{1000, 1, 0},
                                {1001, 1, chunk_item::signal},
                                {1130, 127, chunk_item::ends_run | chunk_item::signal},
                                {1130 + 16'384, 128, 0},
                                {INT64_C(1) << 46, 1'000'000, chunk_item::ends_session}};
  std::string chunk;
  std::int64_t previous = 1000;
  for (const auto& item : items) {
    append_item(chunk, item, previous);
    previous = item.offset;
  }
  chunk_walker walk{chunk, 1000};
  for (const auto& item : items) {
    auto got = walk.next();
    ASSERT_TRUE(got);
    EXPECT_EQ(got->offset, item.offset);
    EXPECT_EQ(got->turn, item.turn);
    EXPECT_EQ(got->flags, item.flags);
  }
  EXPECT_FALSE(walk.next());
}

// Goal: bytes that end too soon give no item and no read beyond them.
TEST(timeline_chunk, cut_bytes_give_no_item) {
  std::string chunk;
  append_item(chunk, {5000, 300, 1}, 0);
  for (std::size_t size = 0; size < chunk.size(); ++size)
    EXPECT_FALSE(chunk_walker(std::string_view{chunk}.substr(0, size), 0).next()) << size;
  EXPECT_FALSE(chunk_walker(std::string(20, '\xff'), 0).next());
}

// Goal: chunks begin where they should.
TEST(timeline_chunk, chunk_borders) {
  EXPECT_EQ(chunk_of(1), 0U);
  EXPECT_EQ(chunk_of(chunk_items), 0U);
  EXPECT_EQ(chunk_of(chunk_items + 1), 1U);
  EXPECT_EQ(first_seq_of(1), chunk_items + 1);
}

} // namespace
} // namespace runledger::views
