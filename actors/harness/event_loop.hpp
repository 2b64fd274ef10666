#pragma once

#include "actors/harness/fd.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <queue>
#include <utility>
#include <vector>

namespace runledger::harness {

/// What a descriptor is to its process.
enum class slot : std::uint8_t { pidfd, inner, input, output, errors, status, mounts };
/// What may become due for a process; each kind has one due time.
enum class timer : std::uint8_t { ready, heartbeat, grace, stall, watch, reap };
inline constexpr std::size_t timer_kinds = 6;

/// Waits for descriptors and times of the host's processes. For one thread; only `wake` may come
/// from others.
class event_loop {
public:
  /// Throws std::system_error where the kernel refuses.
  event_loop();

  void add(int fd, std::uint64_t process, slot what, bool writing = false);
  void remove(int fd);
  /// Calls back `when` it is due. A process checks for itself whether that still matters.
  void arm(std::uint64_t process, timer kind, std::int64_t when);
  /// Monotonic, as of the last turn.
  std::int64_t now_ms() const { return now_ms_; }
  /// Makes the present or the next turn end at once.
  void wake() const;

  /// Waits until something happens (at most max_wait_ms), then reports every descriptor and every
  /// due time.
  void turn(std::int64_t max_wait_ms,
            const std::function<void(std::uint64_t process, slot what)>& on_descriptor,
            const std::function<void(std::uint64_t process, timer kind)>& on_timer);

private:
  struct due {
    std::int64_t when;
    std::uint64_t process;
    timer kind;
    bool operator>(const due& other) const { return when > other.when; }
  };

  unique_fd epoll_;
  unique_fd wake_;
  std::int64_t now_ms_;
  std::priority_queue<due, std::vector<due>, std::greater<>> due_;
};

} // namespace runledger::harness
