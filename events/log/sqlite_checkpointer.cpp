#include "events/log/sqlite_checkpointer.hpp"

#include <sqlite3.h>

#include <cerrno>

namespace runledger {

sqlite_checkpointer::sqlite_checkpointer(sqlite::connection db,
                                         std::function<void(const sqlite::error&)> on_error)
    : db_(std::move(db)), on_error_(std::move(on_error)), thread_([this] { run(); }) {}

void sqlite_checkpointer::stop() {
  if (!thread_.joinable())
    return;
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void sqlite_checkpointer::request() {
  {
    std::lock_guard guard{mutex_};
    requested_ = true;
    idle_.store(false, std::memory_order_release);
  }
  wake_.notify_one();
}

void sqlite_checkpointer::run() {
  std::unique_lock lock{mutex_};
  while (true) {
    wake_.wait(lock, [this] { return requested_ || stopping_; });
    if (stopping_)
      return;
    requested_ = false;
    lock.unlock();
    if (!failed()) {
      auto done = checkpoint_passively(db_);
      if (done) {
        completed_.fetch_add(1, std::memory_order_relaxed);
      } else if (!heals(done.error())) {
        // What the database file holds is not known: touch it no more.
        failed_.store(true, std::memory_order_release);
        on_error_(done.error());
      }
    }
    lock.lock();
    if (!requested_)
      idle_.store(true, std::memory_order_release);
  }
}

result<void, sqlite::error> checkpoint_passively(sqlite::connection& db) {
  int code =
      sqlite3_wal_checkpoint_v2(db.raw(), nullptr, SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  if (code != SQLITE_OK && (code & 0xff) != SQLITE_BUSY)
    return db.last_error();
  return {};
}

bool heals(const sqlite::error& e) {
  switch (e.primary()) {
    case SQLITE_FULL:
    case SQLITE_READONLY:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_CANTOPEN:
    case SQLITE_NOMEM:
      return true;
    case SQLITE_IOERR:
      break;
    default:
      return false;
  }
  switch (e.code) {
    case SQLITE_IOERR_NOMEM:
    case SQLITE_IOERR_SHMSIZE: // No room for the WAL's index, which is made anew from the WAL.
    case SQLITE_IOERR_SHMMAP:
      return true;
    case SQLITE_IOERR_WRITE: // SQLITE_FULL names ENOSPC alone.
      return e.system_errno == EDQUOT || e.system_errno == ENOSPC;
    default:
      return false;
  }
}

} // namespace runledger
