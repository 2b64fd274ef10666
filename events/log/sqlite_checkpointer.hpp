#pragma once

#include "events/log/sqlite.hpp"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace runledger {

/// Moves the write-ahead log into the database file, off the writer's path: one thread with a
/// connection of its own, asleep until asked.
class sqlite_checkpointer {
public:
  /// `on_error` is called from the thread, at most once, for a failure after which nothing may be
  /// written any more.
  sqlite_checkpointer(sqlite::connection db, std::function<void(const sqlite::error&)> on_error);
  ~sqlite_checkpointer() { stop(); }
  sqlite_checkpointer(const sqlite_checkpointer&) = delete;
  sqlite_checkpointer& operator=(const sqlite_checkpointer&) = delete;

  /// Ends the thread after the checkpoint that runs.
  void stop();
  /// on_error was called.
  bool failed() const { return failed_.load(std::memory_order_acquire); }

  /// Asks for one checkpoint. Any thread.
  void request();
  /// No checkpoint runs or waits.
  bool idle() const { return idle_.load(std::memory_order_acquire); }
  std::uint64_t completed() const { return completed_.load(std::memory_order_relaxed); }

private:
  void run();

  sqlite::connection db_;
  std::function<void(const sqlite::error&)> on_error_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool requested_ = false;
  bool stopping_ = false;
  std::atomic<bool> idle_{true};
  std::atomic<bool> failed_{false};
  std::atomic<std::uint64_t> completed_{0};
  std::thread thread_;
};

/// Runs a passive checkpoint on `db`: whatever is possible without making anybody wait.
result<void, sqlite::error> checkpoint_passively(sqlite::connection& db);

/// True if the ledger heals by itself from `e` (disk full, read-only, busy): nothing was lost, and
/// the next attempt may succeed. False: what is on disk is not known any more.
bool heals(const sqlite::error& e);

} // namespace runledger
