#include "events/log/sqlite_syncer.hpp"

#include <pthread.h>

#include <utility>

namespace runledger {

sqlite_syncer::sqlite_syncer() : thread_([this] { run(); }) {}

sqlite_syncer::~sqlite_syncer() {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void sqlite_syncer::hand_over(std::function<void()> duty) {
  {
    std::lock_guard guard{mutex_};
    duties_.push_back(std::move(duty));
    pending_.fetch_add(1, std::memory_order_relaxed);
  }
  wake_.notify_one();
}

void sqlite_syncer::run() {
  pthread_setname_np(pthread_self(), "ledger sync");
  std::unique_lock lock{mutex_};
  for (;;) {
    wake_.wait(lock, [this] { return !duties_.empty() || stopping_; });
    if (duties_.empty())
      return;
    auto duty = std::move(duties_.front());
    duties_.pop_front();
    lock.unlock();
    duty();
    pending_.fetch_sub(1, std::memory_order_release);
    lock.lock();
  }
}

} // namespace runledger
