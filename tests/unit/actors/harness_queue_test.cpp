#include "actors/harness/call_queue.hpp"

#include <array>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

using namespace runledger::harness;

namespace {

struct call {
  std::size_t thread;
  std::unique_ptr<int> number; // Its memory is used by both sides.
};

} // namespace

// Goal: nothing is lost, doubled or reordered between many threads that call and one that works;
// each time the queue was empty somebody learns of it.
TEST(harness_queue, many_to_one) {
  constexpr std::size_t threads = 4;
  constexpr int calls = 20'000;
  call_queue<call> queue;
  std::atomic<int> wakes{0};
  std::array<int, threads> next{};
  std::vector<std::thread> callers;
  for (std::size_t t = 0; t < threads; ++t)
    callers.emplace_back([&, t] {
      for (int i = 0; i < calls; ++i)
        wakes += queue.push({t, std::make_unique<int>(i)});
    });
  std::size_t taken = 0;
  int batches = 0;
  while (taken < threads * calls) {
    auto batch = queue.take_all();
    batches += !batch.empty();
    for (const auto& one : batch)
      EXPECT_EQ(*one.number, next[one.thread]++);
    taken += batch.size();
  }
  for (auto& caller : callers)
    caller.join();
  EXPECT_EQ(wakes, batches);
  EXPECT_TRUE(queue.take_all().empty());
}

// Goal: what nobody took is freed (AddressSanitizer watches).
TEST(harness_queue, frees_what_is_left) {
  call_queue<call> queue;
  EXPECT_TRUE(queue.push({0, std::make_unique<int>(1)}));
  EXPECT_FALSE(queue.push({0, std::make_unique<int>(2)}));
}
