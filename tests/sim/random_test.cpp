#include "tests/sim/simulation.hpp"

#include <gtest/gtest.h>

namespace runledger::sim {

namespace {

void run_seeds(std::uint64_t first, std::uint64_t count) {
  test::for_each_seed(first, count, [](std::uint64_t seed) {
    auto got = simulate(seed);
    ASSERT_TRUE(got.problem.empty()) << got.report;
  });
}

/// Two tests share the seeds, so that two cores do.
std::uint64_t seeds_per_test() {
  return test::number_from_environment("TEST_SEEDS", 2000) / 2;
}

} // namespace

// Goal: whatever the order of events and whatever fails, what was promised holds.
TEST(Simulation, HoldsItsPromises) {
  run_seeds(1, seeds_per_test());
}
TEST(Simulation, HoldsItsPromisesElsewhere) {
  run_seeds(1 + seeds_per_test(), seeds_per_test());
}

// Goal: a seed decides everything, so that a failure can be looked at again.
TEST(Simulation, RepeatsItselfExactly) {
  test::for_each_seed(1, 10, [](std::uint64_t seed) {
    auto once = simulate(seed), again = simulate(seed);
    ASSERT_EQ(once.trace_hash, again.trace_hash);
    ASSERT_EQ(once.events, again.events);
  });
}

} // namespace runledger::sim
