#include "actors/held_place.hpp"
#include "actors/queue_places.hpp"

#include <gtest/gtest.h>

namespace runledger {

// Goal: a workspace has as many places as the bound says, whatever the others hold.
TEST(QueuePlaces, AreBoundedPerWorkspace) {
  queue_places places{2};
  EXPECT_TRUE(places.take("a", "run_1"));
  EXPECT_FALSE(places.full("a"));
  EXPECT_TRUE(places.take("a", "run_2"));
  EXPECT_TRUE(places.full("a"));
  EXPECT_FALSE(places.take("a", "run_3"));
  EXPECT_FALSE(places.full("b"));
  EXPECT_TRUE(places.take("b", "run_4"));
  EXPECT_EQ(places.size(), 3u);
}

// Goal: a bound of 0 takes nothing and remembers nothing.
TEST(QueuePlaces, MayBeNone) {
  queue_places places{0};
  EXPECT_TRUE(places.full("a"));
  EXPECT_FALSE(places.take("a", "run_1"));
  EXPECT_EQ(places.size(), 0u);
}

// Goal: a request that came to nothing leaves no trace; what the run got meanwhile stays.
TEST(QueuePlaces, ComeBack) {
  queue_places places{1};
  ASSERT_TRUE(places.take("a", "run_1"));
  places.give_back("a", "run_1");
  EXPECT_EQ(places.size(), 0u);
  ASSERT_TRUE(places.take("a", "run_2"));
  places.wait("a", "run_2");
  places.give_back("a", "run_2");
  EXPECT_TRUE(places.holds("a", "run_2")) << "it waits, whoever asked";
  places.leave("a", "run_2");
  EXPECT_FALSE(places.full("a"));
  places.give_back("a", "run_2");
  places.leave("b", "run_2");
  EXPECT_EQ(places.size(), 0u);
}

// Goal: two requests under one key need one place, and it is free when both came to nothing.
TEST(QueuePlaces, AreSharedByRequestsForOneRun) {
  queue_places places{1};
  ASSERT_TRUE(places.take("a", "run_1"));
  ASSERT_TRUE(places.take("a", "run_1"));
  EXPECT_EQ(places.size(), 1u);
  places.give_back("a", "run_1");
  EXPECT_TRUE(places.full("a"));
  places.give_back("a", "run_1");
  EXPECT_FALSE(places.full("a"));
}

// Goal: runs that were accepted already wait also beyond the bound, and count once.
TEST(QueuePlaces, CountWhatWaitsBeyondTheBound) {
  queue_places places{1};
  for (int i = 0; i < 2; ++i) {
    places.wait("a", "run_1");
    places.wait("a", "run_2");
  }
  EXPECT_EQ(places.size(), 2u);
  places.leave("a", "run_1");
  EXPECT_TRUE(places.full("a"));
  places.leave("a", "run_2");
  EXPECT_FALSE(places.full("a"));
}

// Goal: a held place comes back once, with the last copy, unless it is kept.
TEST(HeldPlace, ComesBackUnlessItIsKept) {
  int given_back = 0;
  {
    const held_place one{[&] { ++given_back; }};
    {                        // The mail that carries it is copied on its way.
      const auto copy = one; // NOLINT(performance-unnecessary-copy-initialization)
      EXPECT_TRUE(copy);
    }
    EXPECT_EQ(given_back, 0);
  }
  EXPECT_EQ(given_back, 1);
  {
    held_place one{[&] { ++given_back; }};
    one.reset();
    EXPECT_EQ(given_back, 2);
    EXPECT_FALSE(one);
  }
  {
    const held_place one{[&] { ++given_back; }};
    one.keep();
  }
  EXPECT_EQ(given_back, 2);
}

// Goal: with a partition go the places of its runs, in all workspaces, and no others; what is given
// back later changes nothing.
TEST(queue_places, leave_with_their_partition) {
  queue_places places{2};
  ASSERT_TRUE(places.take("a", "run_1", 1));
  ASSERT_TRUE(places.take("a", "run_2", 2));
  places.wait("b", "run_3", 1);
  EXPECT_TRUE(places.full("a"));
  places.leave_partition(1);
  EXPECT_EQ(places.size(), 1U);
  EXPECT_FALSE(places.full("a"));
  EXPECT_TRUE(places.holds("a", "run_2"));
  EXPECT_FALSE(places.holds("b", "run_3"));
  places.give_back("a", "run_1");
  places.leave("b", "run_3");
  EXPECT_EQ(places.size(), 1U);
}

} // namespace runledger
