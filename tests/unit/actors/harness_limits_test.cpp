#include "actors/harness/harness.hpp"
#include "actors/harness/line_reader.hpp"

#include <gtest/gtest.h>

namespace runledger::harness {

namespace {

/// One run's bucket of lines.
token_bucket lines_of_a_run() {
  const output_limits limits;
  return {limits.lines_per_second, limits.burst_lines};
}

} // namespace

// Goal: an agent that streams 2,000 tokens a second for ten minutes passes, also when the lines
// come in heaps because somebody paused for a second and a half.
TEST(OutputLimits, LetStreamsPass) {
  auto lines = lines_of_a_run();
  for (std::int64_t ms = 0; ms < 600'000; ++ms)
    ASSERT_TRUE(lines.take(2, ms)) << ms;
  for (std::int64_t ms = 600'000; ms < 1'200'000; ms += 1'500)
    for (int i = 0; i < 3'000; ++i)
      ASSERT_TRUE(lines.take(1, ms)) << ms;
}

// Goal: a flood is stopped after a few thousand lines, however long the run was quiet before.
TEST(OutputLimits, StopFloods) {
  auto lines = lines_of_a_run();
  ASSERT_TRUE(lines.take(1, 0));
  int passed = 0;
  for (std::int64_t us = 0; lines.take(1, 3'600'000 + us / 1000); us += 10) // 100,000 a second
    ++passed;
  EXPECT_GE(passed, 4'000);
  EXPECT_LE(passed, 4'200);
}

// Goal: what is given back counts again, but saves up no more than the burst.
TEST(OutputLimits, GiveBack) {
  token_bucket bucket{1, 3};
  ASSERT_TRUE(bucket.take(3, 0));
  ASSERT_FALSE(bucket.take(1, 0));
  bucket.give(2);
  EXPECT_TRUE(bucket.take(2, 0));
  bucket.give(100);
  EXPECT_TRUE(bucket.take(3, 0));
  EXPECT_FALSE(bucket.take(1, 0));
}

} // namespace runledger::harness
