#pragma once

#include <algorithm>
#include <atomic>
#include <utility>
#include <vector>

namespace runledger::harness {

/// Calls on their way from many threads to one. Nobody waits; the calls of one thread keep their
/// order.
template <class Call>
class call_queue {
public:
  call_queue() = default;
  call_queue(const call_queue&) = delete;
  call_queue& operator=(const call_queue&) = delete;
  ~call_queue() { (void)take_all(); }

  /// Any thread. True if it was empty, so that somebody has to wake the reader.
  bool push(Call call) {
    auto* fresh = new node{std::move(call), nullptr};
    auto* before = head_.load(std::memory_order_relaxed);
    do
      fresh->next = before;
    while (!head_.compare_exchange_weak(before, fresh, std::memory_order_release,
                                        std::memory_order_relaxed));
    return before == nullptr; // Once it is in, `fresh` may be gone at any time.
  }

  /// The reader's thread: all that is in, oldest first.
  std::vector<Call> take_all() {
    std::vector<Call> out;
    for (auto* n = head_.exchange(nullptr, std::memory_order_acquire); n != nullptr;) {
      out.push_back(std::move(n->call));
      delete std::exchange(n, n->next);
    }
    std::reverse(out.begin(), out.end());
    return out;
  }

private:
  struct node {
    Call call;
    node* next;
  };
  std::atomic<node*> head_{nullptr};
};

} // namespace runledger::harness
