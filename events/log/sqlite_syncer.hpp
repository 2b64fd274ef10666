#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace runledger {

/// A thread that waits for the disk, so that who appends need not. Duties are done in their order;
/// it sleeps without one.
class sqlite_syncer {
public:
  sqlite_syncer();
  /// Does all that was handed over, then ends the thread.
  ~sqlite_syncer();
  sqlite_syncer(const sqlite_syncer&) = delete;
  sqlite_syncer& operator=(const sqlite_syncer&) = delete;

  void hand_over(std::function<void()> duty);
  /// Nothing waits or is being done.
  bool idle() const { return pending_.load(std::memory_order_acquire) == 0; }

private:
  void run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> duties_;
  std::atomic<std::size_t> pending_{0};
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace runledger
