// Goal: prove that deadlines come once, not early, in any pattern of moves, and that idle wheels do
// nothing.

#include "http/deadlines.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>

namespace runledger::http {
namespace {

using std::chrono::milliseconds;

struct probe : deadline_node {
  steady::time_point due, fired;
  int count = 0;
  std::function<void()> then;

  void on_deadline() override {
    fired = steady::now();
    ++count;
    if (then)
      then();
  }
};

TEST(Deadlines, ComeOnceAndNotEarly) {
  net::io_context io;
  deadline_wheel wheel{io};
  std::mt19937 random{7};
  std::vector<std::unique_ptr<probe>> all;
  const auto begin = steady::now();
  for (int i = 0; i < 500; ++i) {
    auto& each = *all.emplace_back(std::make_unique<probe>());
    for (auto moves = 1 + random() % 4; moves > 0; --moves) { // Nearer and further.
      each.due = begin + milliseconds{random() % 150};
      wheel.set(each, each.due);
    }
  }
  io.run();
  for (const auto& each : all) {
    EXPECT_EQ(each->count, 1);
    EXPECT_GE(each->fired, each->due);
  }
}

TEST(Deadlines, MayBeClearedMovedAndDestroyedFromInside) {
  net::io_context io;
  deadline_wheel wheel{io};
  probe again, cleared;
  auto destroyed = std::make_unique<probe>();
  again.then = [&] {
    if (again.count < 3)
      wheel.set(again, steady::now() + milliseconds{5});
    wheel.clear(cleared);
    destroyed.reset();
  };
  wheel.set(again, steady::now() + milliseconds{1});
  wheel.set(cleared, steady::now() + milliseconds{60});
  wheel.set(*destroyed, steady::now() + milliseconds{60});
  io.run();
  EXPECT_EQ(again.count, 3);
  EXPECT_EQ(cleared.count, 0);
}

TEST(Deadlines, BeyondTheWheelStillCome) {
  net::io_context io;
  deadline_wheel wheel{io};
  probe far;
  wheel.set(far, steady::now() + std::chrono::hours{1});
  wheel.set(far, steady::now() + milliseconds{20});
  io.run();
  EXPECT_EQ(far.count, 1);
}

TEST(Deadlines, NoneMeansNoTimer) {
  net::io_context io;
  deadline_wheel wheel{io};
  EXPECT_EQ(io.run(), 0u);
}

} // namespace
} // namespace runledger::http
