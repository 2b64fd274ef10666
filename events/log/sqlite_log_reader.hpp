#pragma once

#include "events/log/event_log.hpp"
#include "events/log/sqlite.hpp"
#include "events/log/sqlite_log.hpp"

#include <memory>
#include <string>
#include <vector>

namespace runledger {

/// A read connection of sqlite_log with its statements. One thread at a time. `before`: rows from
/// that offset on are not there.
class sqlite_log::reader {
public:
  static result<std::unique_ptr<reader>, sqlite::error> on(sqlite::connection db);

  result<std::vector<record_ptr>, read_error>
  stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit, std::int64_t before);
  result<std::vector<record_ptr>, read_error> partition(std::int64_t from_offset, std::size_t limit,
                                                        bool check_hashes, std::int64_t before);
  /// As many rows as `into` has records, into these; how many there were.
  result<std::size_t, read_error> rows(std::int64_t from_offset, std::vector<record>& into);
  result<std::optional<stream_head>, read_error> head(const stream_id& stream, std::int64_t before);
  result<std::vector<unfinished_stream>, read_error> unfinished(const stream_id& after,
                                                                std::size_t limit);
  result<std::int64_t, read_error> end_offset();
  /// The partition's state as its own stream tells it.
  result<partition_head, read_error> partition_state(const stream_id& own_stream);

private:
  explicit reader(sqlite::connection db) : db_(std::move(db)) {}
  result<void, sqlite::error> prepare();
  read_error failure(const stream_id& stream) const;

  sqlite::connection db_;
  sqlite::statement stream_, partition_, head_, unfinished_, end_, last_claim_;
};

} // namespace runledger
