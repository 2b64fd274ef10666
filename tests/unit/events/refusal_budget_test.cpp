#include "events/refusal_budget.hpp"

#include <gtest/gtest.h>

// Goal: whatever is asked, what is recorded stays within its budget, and what is left out is told.
namespace runledger::audit {
namespace {

using std::chrono::milliseconds;

constexpr timestamp noon = from_ms(1'700'000'000'000);

TEST(refusal_budget, lets_a_burst_through_and_then_so_many_a_minute) {
  refusal_budget budget{{5, 12}};
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(budget.take(noon)) << i;
  EXPECT_FALSE(budget.take(noon));
  EXPECT_FALSE(budget.take(noon + milliseconds{4'999}));
  EXPECT_TRUE(budget.take(noon + milliseconds{5'000})) << "twelve a minute: one in five seconds";
  EXPECT_FALSE(budget.take(noon + milliseconds{5'001}));
  for (int i = 0; i < 5; ++i)
    EXPECT_TRUE(budget.take(noon + std::chrono::hours{24 * 365 * 50})) << "full again: " << i;
  EXPECT_FALSE(budget.take(noon + std::chrono::hours{24 * 365 * 50})) << "and no more than full";
}

TEST(refusal_budget, is_kept_over_any_time) {
  refusal_budget budget{{60, 12}};
  int let_through = 0;
  for (std::int64_t ms = 0; ms < 600'000; ms += 7)
    let_through += budget.take(noon + milliseconds{ms}) ? 1 : 0;
  EXPECT_EQ(let_through, 60 + 10 * 12 - 1) << "the last one comes at the ten minutes' end";
}

TEST(refusal_budget, a_clock_that_goes_back_gives_nothing) {
  refusal_budget budget{{1, 12}};
  EXPECT_TRUE(budget.take(noon));
  const auto back = noon - std::chrono::hours{24};
  EXPECT_FALSE(budget.take(back));
  EXPECT_FALSE(budget.take(back + milliseconds{4'999}));
  EXPECT_TRUE(budget.take(back + milliseconds{5'000})) << "and goes on from there";
}

TEST(refusal_budget, tells_what_it_left_out_once_a_minute) {
  refusal_budget budget{{1, 0}};
  EXPECT_TRUE(budget.take(noon));
  EXPECT_EQ(budget.report(noon + milliseconds{120'000}), std::nullopt) << "nothing was left out";
  const auto first = noon + milliseconds{130'000};
  for (int i = 0; i < 3; ++i)
    EXPECT_FALSE(budget.take(first + milliseconds{i}));
  EXPECT_TRUE(budget.owes_report());
  EXPECT_EQ(budget.report(first + milliseconds{59'999}), std::nullopt);
  EXPECT_EQ(budget.report(first + milliseconds{60'000}), (calls_suppressed{3, first}));
  EXPECT_FALSE(budget.owes_report());
  EXPECT_FALSE(budget.take(first + milliseconds{60'001}));
  EXPECT_EQ(budget.report(first + milliseconds{119'999}), std::nullopt);
  EXPECT_EQ(budget.report_now(first + milliseconds{119'999}),
            (calls_suppressed{1, first + milliseconds{60'001}}))
      << "a server that ends does not wait";
  EXPECT_EQ(budget.report_now(first + milliseconds{200'000}), std::nullopt);
}

TEST(refusal_budget, of_nothing_lets_nothing_through) {
  refusal_budget budget{{0, 0}};
  EXPECT_FALSE(budget.take(noon));
  EXPECT_FALSE(budget.take(noon + std::chrono::hours{1000}));
  EXPECT_EQ(budget.report_now(noon)->count, 2);
}

// Goal: an audit stream takes whatever is reported, and no report of nothing.
TEST(audit, decides_by_the_report_alone) {
  const call_refused call{"POST", "/x/{id}", "/x/a", {"a"}, 403, "forbidden"};
  const auto recorded = decide({}, {call});
  ASSERT_TRUE(recorded);
  EXPECT_EQ(recorded->facts, std::vector<event>{call});
  const auto counted = decide({}, {calls_suppressed{7, noon}});
  ASSERT_TRUE(counted);
  EXPECT_EQ(counted->facts, (std::vector<event>{calls_suppressed{7, noon}}));
  for (const std::int64_t none : {0, -1}) {
    ASSERT_FALSE(decide({}, {calls_suppressed{none, noon}}));
    EXPECT_FALSE(fits({}, calls_suppressed{none, noon}));
  }
  EXPECT_EQ(evolve({}, call), state{});
}

} // namespace
} // namespace runledger::audit
