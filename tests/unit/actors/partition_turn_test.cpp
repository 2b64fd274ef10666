// Goal: new streams go to one held partition in a row, then to the next, and to all alike.

#include "actors/partition_turn.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

namespace runledger {

namespace {

constexpr int streams_in_a_row = 64;

/// The partitions of two topics, `runs` first.
struct held_partitions {
  held_partitions(std::uint32_t of_runs, const std::set<std::uint32_t>& held)
      : names(name_partitions({{"runs", of_runs}, {"catalog", 4}})), mine(names) {
    for (auto p : held)
      hold(p);
  }
  void hold(std::uint32_t p) { mine.take({p, 1, {}, {}}); }

  /// As choose_ulid draws: the partitions pass by until one suits.
  std::uint32_t next(const std::string& topic = "runs") {
    for (;;) {
      at = (at + 7) % mine.count();
      if (mine.holds(at) && names[at].topic == topic && turn.suits(mine, at)) {
        turn.count(mine, at);
        return at;
      }
    }
  }

  std::vector<topic_partition> names;
  owned_partitions mine;
  partition_turn turn{streams_in_a_row};
  std::uint32_t at = 0;
};

} // namespace

TEST(partition_turn, goes_round_what_is_held) {
  held_partitions here{12, {1, 2, 5, 11, 12, 13}};
  std::vector<std::uint32_t> order;
  std::map<std::uint32_t, int> streams;
  for (int i = 0; i < 3 * 4 * streams_in_a_row; ++i) {
    const auto p = here.next();
    if (order.empty() || order.back() != p)
      order.push_back(p);
    ++streams[p];
  }
  EXPECT_EQ(order.size(), 12u) << "each is written to in a row";
  for (auto p : {1U, 2U, 5U, 11U})
    EXPECT_EQ(streams[p], 3 * streams_in_a_row) << p;
}

TEST(partition_turn, leaves_what_was_given_up) {
  held_partitions here{12, {3, 4}};
  const auto first = here.next();
  here.mine.give_up(first);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(here.next(), first == 3 ? 4u : 3u);
}

TEST(partition_turn, other_topics_have_their_own) {
  held_partitions here{12, {0, 1, 2, 12, 13, 14, 15}};
  std::vector<std::uint32_t> order;
  std::set<std::uint32_t> others;
  for (int i = 0; i < 3 * streams_in_a_row; ++i) {
    const auto p = here.next();
    if (order.empty() || order.back() != p)
      order.push_back(p);
    others.insert(here.next("catalog"));
  }
  EXPECT_EQ(order.size(), 3u) << "what is made in between does not end a row";
  EXPECT_EQ(others.size(), 3u);
}

TEST(partition_turn, of_many_partitions_several_suit_at_once) {
  std::set<std::uint32_t> all;
  for (std::uint32_t p = 0; p < 200; ++p)
    all.insert(p);
  held_partitions here{200, all};
  std::set<std::uint32_t> suiting;
  here.next();
  for (std::uint32_t p = 0; p < 200; ++p)
    if (here.turn.suits(here.mine, p))
      suiting.insert(p);
  EXPECT_GE(suiting.size(), 12u);
  EXPECT_LE(suiting.size(), 13u);
}

} // namespace runledger
