#pragma once

#include "http/net.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace runledger::http {

using steady = std::chrono::steady_clock;

/// Something with at most one deadline. Unlinks itself when destroyed. HTTP thread only.
class deadline_node {
public:
  deadline_node() = default;
  deadline_node(const deadline_node&) = delete;
  deadline_node& operator=(const deadline_node&) = delete;
  virtual ~deadline_node();

protected:
  /// The deadline passed (at most one tick ago). It is no longer set.
  virtual void on_deadline() = 0;

private:
  friend class deadline_wheel;
  void unlink();
  deadline_node* next_ = nullptr;
  deadline_node** link_ = nullptr; // What points here; null while in no slot.
  std::int64_t due_ = 0; // In ticks; the slot may be visited earlier, then the node moves on.
  std::int64_t slot_tick_ = 0;
};

/// All deadlines of the edge behind one timer. Moving a deadline further away, which each request
/// does several times, is one store: the node moves to another slot only when its old slot comes
/// up.
class deadline_wheel {
public:
  explicit deadline_wheel(net::io_context& io);
  ~deadline_wheel();

  /// Replaces the node's deadline. Granularity: one tick of 10 ms, rounded up.
  void set(deadline_node& node, steady::time_point when);
  void clear(deadline_node& node);

  static constexpr std::chrono::milliseconds tick{10};

private:
  static constexpr std::int64_t slots = 1024;
  void link(deadline_node& node, std::int64_t at);
  void arm(std::int64_t at);
  void fire();

  std::vector<deadline_node*> slots_;
  std::int64_t done_ = 0;  // The last tick whose slot was visited.
  std::int64_t armed_ = 0; // The tick the timer waits for; 0: none.
  net::basic_waitable_timer<steady, net::wait_traits<steady>, net::io_context::executor_type>
      timer_;
};

} // namespace runledger::http
