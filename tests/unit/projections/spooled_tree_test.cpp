#include "projections/replay/spooled_tree.hpp"

#include "tests/support/seeds.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <filesystem>

namespace runledger::replay {

namespace {

// Goal: the tree in the file gives the roots and proofs of the tree in memory, at every small size
// and around the sizes at which it writes.
TEST(spooled_tree, is_the_tree_in_memory) {
  const test::temp_folder folder;
  auto spooled = spooled_tree::in(folder.path());
  ASSERT_TRUE(spooled) << spooled.error();
  merkle::tree whole;
  test::dice roll{1};
  const auto near_a_chunk = [](std::uint64_t n) { return (n + 2) % 4096 <= 4; };
  for (std::uint64_t n = 1; n <= 20'000; ++n) {
    const auto content = sha256(std::to_string(n));
    spooled->add(content);
    whole.add(content);
    if (n > 70 && !near_a_chunk(n) && n % 1999 != 0)
      continue;
    ASSERT_EQ(spooled->size(), n);
    ASSERT_EQ(spooled->root(n), whole.root(n)) << n;
    const auto size = 1 + roll.below(n), index = roll.below(size);
    ASSERT_EQ(spooled->root(size), whole.root(size));
    ASSERT_EQ(spooled->inclusion(index, size), whole.inclusion(index, size)) << index << " " << n;
    ASSERT_EQ(spooled->consistency(size, n), whole.consistency(size, n)) << size << " " << n;
  }
  EXPECT_EQ(spooled->failed(), "");
}

// Goal: its file has no name, so that nothing can be left of it.
TEST(spooled_tree, leaves_nothing) {
  const test::temp_folder folder;
  const auto spooled = spooled_tree::in(folder.path());
  ASSERT_TRUE(spooled);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

// Goal: where no file can be made, that is said with the folder.
TEST(spooled_tree, says_where_it_cannot_write) {
  const auto spooled = spooled_tree::in("/nowhere/at/all");
  ASSERT_FALSE(spooled);
  EXPECT_NE(spooled.error().find("/nowhere/at/all"), std::string::npos);
}

} // namespace

} // namespace runledger::replay
