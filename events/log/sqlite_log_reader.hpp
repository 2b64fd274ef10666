#pragma once

#include "events/log/event_log.hpp"
#include "events/log/sqlite.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runledger {

/// A read connection to a file of events (a ledger, a replica) with its statements. One thread at a
/// time. Places are those of sqlite::row_place; rows from `before` on are not there.
class sqlite_log_reader {
public:
  static result<std::unique_ptr<sqlite_log_reader>, sqlite::error> on(sqlite::connection db);

  result<std::vector<record_ptr>, read_error>
  stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit, std::int64_t before);
  result<std::vector<record_ptr>, read_error> partition(std::int64_t from, std::size_t limit,
                                                        bool check_hashes, std::int64_t before);
  /// As many rows as `into` has records, into these; how many there were.
  result<std::size_t, read_error> rows(std::int64_t from, std::vector<record>& into);
  result<std::optional<stream_head>, read_error> head(const stream_id& stream, std::int64_t before);
  /// Of one partition, or of all.
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::optional<std::uint32_t> partition, const stream_id& after, std::size_t limit);
  /// One past the last row's place from `from` on and before `before`; 0 without rows.
  result<std::int64_t, read_error> end(std::int64_t from, std::int64_t before);
  /// The state of a partition as its own stream tells it.
  result<partition_head, read_error> partition_state(const partition_head& empty);

private:
  explicit sqlite_log_reader(sqlite::connection db) : db_(std::move(db)) {}
  result<void, sqlite::error> prepare();
  read_error failure(const stream_id& stream) const;
  void take_row(const sqlite::statement& row, bool check_hashes, record& into) const;

  sqlite::connection db_;
  result<partition_head, read_error> sealed_state(partition_head state,
                                                  const stream_id& own_stream);

  bool has_origins_ = false; ///< Rows end with their origin.
  sqlite::statement stream_, partition_, head_, unfinished_, end_, last_claim_, from_seal_;
};

} // namespace runledger
