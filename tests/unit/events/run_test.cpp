// Goal: what a run remembers of remote attempts stays small, and lost attempts cost little.

#include "tests/support/driven_run.hpp"

namespace runledger::test {
namespace {

// Goal: ids that a worker numbers take room by their gaps alone, and each is known for what it is.
TEST(frame_ids, that_follow_each_other_are_one_piece) {
  run::frame_ids ids;
  for (int n = 1; n <= 10'000; ++n)
    if (n != 5'000)
      ids.insert("w7." + std::to_string(n));
  EXPECT_EQ(ids.pieces(), 2U);
  EXPECT_TRUE(ids.contains("w7.4999"));
  EXPECT_FALSE(ids.contains("w7.5000"));
  EXPECT_FALSE(ids.contains("w7.10001"));
  EXPECT_FALSE(ids.contains("w7.0"));
  EXPECT_FALSE(ids.contains("w8.1"));
  ids.insert("w7.5000");
  EXPECT_EQ(ids.pieces(), 1U);
  EXPECT_TRUE(ids.contains("w7.5000"));
}

// Goal: an id that only looks like a number is another id.
TEST(frame_ids, are_the_same_only_if_they_read_the_same) {
  run::frame_ids ids;
  ids.insert("w1.1");
  for (const auto* other : {"w01.1", "w1.01", "w1.1.", "w1.", "w.1", "w1", "1.1", "w1.1x", "W1.1",
                            "w1.1000000000000000000000000001"})
    EXPECT_FALSE(ids.contains(other)) << other;
  ids.insert("w1.01");
  ids.insert("mine");
  EXPECT_TRUE(ids.contains("w1.01"));
  EXPECT_TRUE(ids.contains("mine"));
  EXPECT_EQ(ids.pieces(), 3U);
}

// Goal: attempts that are given back again and again come with growing pauses; a step that is done
// ends that, and so does a failure that counts.
TEST(lost_attempts, come_slower_and_slower) {
  driven_run r;
  run::start begin;
  begin.session = session_id{"sess_1"};
  begin.retry.jitter_milli = 0;
  ASSERT_TRUE(r.ask(begin));
  const auto lose = [&](bool counted = false) {
    EXPECT_TRUE(r.ask(run::end_attempt{r.state.attempt, {"worker_left", "x"}, counted, false}));
    const auto pause = (*r.state.backoff_due - r.now).count();
    r.now = *r.state.backoff_due;
    EXPECT_TRUE(r.ask(begin));
    return pause;
  };
  EXPECT_EQ(lose(), 0) << "the first one is somebody's restart";
  EXPECT_EQ(lose(), 100);
  EXPECT_EQ(lose(), 200);
  for (int i = 0; i < 30; ++i)
    lose();
  EXPECT_EQ(lose(), 10'000) << "no longer than that";
  EXPECT_EQ(r.state.failures, 0);
  ASSERT_TRUE(r.ask(run::frame{r.state.attempt, {}, run::start_step{"a", {}, {}, {}, {}}}));
  ASSERT_TRUE(r.ask(run::frame{r.state.attempt, {}, run::finish_step{"a", {}}}));
  EXPECT_EQ(lose(), 0);
  EXPECT_EQ(lose(), 100);
  EXPECT_EQ(lose(true), begin.retry.initial_backoff_ms);
  EXPECT_EQ(lose(), 0);
}

} // namespace
} // namespace runledger::test
