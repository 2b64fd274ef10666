#pragma once

#include "events/envelope.hpp"
#include "events/log/head_cache.hpp"
#include "events/log/sqlite.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <optional>
#include <vector>

namespace runledger {

/// The writing of a file of events (a ledger, a replica): its rows, what they say of unfinished
/// work, and what must be known of earlier rows for it. Judges nothing. A call that fails says why
/// in last_error(). One thread.
class sqlite_log_rows {
public:
  /// Uses a connection to a file that is prepared already (sqlite::prepare_ledger_file).
  explicit sqlite_log_rows(sqlite::connection db) : db_(std::move(db)) {}
  result<void, sqlite::error> prepare();

  bool begin() { return run(begin_); }
  bool commit() { return run(commit_); }
  bool rollback() { return run(rollback_); }

  /// Inserts a row, and its origin beside it; `partition.opened` also leaves the ledger's id in
  /// `meta`.
  bool insert(const record& r);
  /// Follows what a group changed: only a stream whose last event says something new costs a write.
  bool write_unfinished(const std::vector<head_cache::change>& changes);

  /// Fills an empty entry from the stream's last row, if there is one.
  bool load_head(head_cache::entry& e, const stream_id& stream);
  /// Where an event stands, and who wrote it.
  struct stored_event {
    digest hash;
    std::int64_t place = 0; ///< As sqlite::row_place.
    std::uint64_t epoch = 0;
  };
  /// Nothing: no such row, or one whose hash is damaged. False: the file cannot be read.
  bool find(const stream_id& stream, std::uint64_t seq, std::optional<stored_event>& found);

  /// Steps a statement to its end and makes it ready again.
  bool run(sqlite::statement& s);
  sqlite::connection& db() { return db_; }
  const sqlite::error& last_error() const { return last_error_; }
  /// Makes an earlier error the last one, after a rollback.
  void remember(sqlite::error why) { last_error_ = std::move(why); }

private:
  bool note_ledger_id(const envelope& e);
  bool note_origin(const record& r);
  bool remember_error();

  sqlite::connection db_;
  sqlite::error last_error_;
  sqlite::statement begin_, commit_, rollback_, insert_, select_head_, select_hash_;
  sqlite::statement set_unfinished_, unset_unfinished_, set_ledger_id_, set_origin_;
};

} // namespace runledger
