// Goal: back-offs grow, stay within their jitter and below their cap, and are spread: what failed
// together does not come back together.

#include "events/recipe.hpp"
#include "tests/support/seeds.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace runledger {

namespace {

using test::dice;

constexpr int draws = 300;

retry_policy any_policy(dice& d) {
  retry_policy out;
  out.initial_backoff_ms = d.between(1'000, 10'000);
  out.multiplier_milli = d.between(1'000, 4'000);
  out.max_backoff_ms = d.between(1'000, 100'000);
  out.jitter_milli = d.between(100, 1'000);
  return out;
}

/// The middle of the delays after so many failures, written down a second time.
double middle(const retry_policy& p, std::int64_t failures) {
  const auto grown =
      static_cast<double>(p.initial_backoff_ms)
      * std::pow(static_cast<double>(p.multiplier_milli) / 1000, static_cast<double>(failures - 1));
  const auto jitter = static_cast<double>(p.jitter_milli) / 1000;
  return std::min(grown, static_cast<double>(p.max_backoff_ms) / (1 + jitter));
}

} // namespace

TEST(backoff_property, stays_within_its_jitter_and_is_spread_over_it) {
  test::for_each_seed(1, 200, [](std::uint64_t seed) {
    dice d{seed};
    const auto policy = any_policy(d);
    const auto failures = d.between(1, 12);
    const auto mid = middle(policy, failures);
    const auto reach = mid * static_cast<double>(policy.jitter_milli) / 1000;
    std::set<std::int64_t> seen;
    for (int i = 0; i < draws; ++i) {
      const auto random = d.next();
      const auto delay = backoff_ms(policy, failures, random);
      EXPECT_EQ(delay, backoff_ms(policy, failures, random)) << "the same for the same number";
      EXPECT_LE(std::abs(static_cast<double>(delay) - mid), reach + 0.51);
      EXPECT_LE(delay, policy.max_backoff_ms);
      seen.insert(delay);
    }
    // Of 300 draws out of 100 values or more, at least a quarter are different, to both sides.
    EXPECT_GE(seen.size(), std::min<std::size_t>(draws / 4, static_cast<std::size_t>(reach)));
    EXPECT_LT(static_cast<double>(*seen.begin()), mid - reach / 2);
    EXPECT_GT(static_cast<double>(*seen.rbegin()), mid + reach / 2);
  });
}

TEST(backoff_property, without_jitter_it_doubles_up_to_its_cap) {
  retry_policy policy;
  policy.jitter_milli = 0;
  policy.initial_backoff_ms = 200;
  policy.max_backoff_ms = 1'000;
  for (std::uint64_t random : {0ULL, 1ULL, ~0ULL}) {
    std::vector<std::int64_t> delays;
    for (std::int64_t failures = 1; failures <= 5; ++failures)
      delays.push_back(backoff_ms(policy, failures, random));
    EXPECT_EQ(delays, (std::vector<std::int64_t>{200, 400, 800, 1'000, 1'000}));
  }
}

TEST(backoff_property, many_failures_do_not_overflow) {
  retry_policy policy;
  policy.multiplier_milli = 1'000'000;
  for (std::int64_t failures : {100, 1'000'000})
    EXPECT_LE(backoff_ms(policy, failures, ~0ULL), policy.max_backoff_ms);
}

} // namespace runledger
