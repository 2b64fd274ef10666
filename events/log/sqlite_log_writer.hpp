#pragma once

#include "events/log/event_log.hpp"
#include "events/log/head_cache.hpp"
#include "events/log/sqlite.hpp"
#include "events/log/sqlite_checkpointer.hpp"
#include "events/log/sqlite_log.hpp"
#include "events/log/sqlite_log_rows.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runledger {

/// The appending half of sqlite_log: judges, writes, and decides when the WAL is checkpointed. One
/// thread.
class sqlite_log::writer {
public:
  writer(const sqlite_log_options& options, sqlite::connection db,
         std::unique_ptr<sqlite_checkpointer> checkpointer)
      : options_(options),
        rows_(std::move(db)),
        checkpointer_(std::move(checkpointer)),
        heads_(options.cached_heads) {}
  /// A clean end moves the WAL into the file.
  ~writer();
  writer(const writer&) = delete;
  writer& operator=(const writer&) = delete;

  result<void, std::string> prepare(std::int64_t next_offset, const partition_head& state);

  /// Appends a group in one transaction.
  std::vector<append_result> write(std::vector<append_request>& group);
  /// What the last write() made durable, in the order of offsets.
  const std::vector<std::shared_ptr<record>>& written() const { return written_; }
  const partition_head& state() const { return state_; }
  /// Set after a failure from which there is no way on.
  const std::optional<std::string>& dead() const { return dead_; }
  /// Another thread found the failure: nothing is written any more, not even at the end.
  void give_up(std::string why) { dead_ = std::move(why); }
  /// Keeps the WAL within its bound. Call it between groups.
  void tend_wal();

  std::int64_t wal_bytes() const { return wal_pages_ * page_bytes_; }
  std::uint64_t checkpoints() const;

private:
  enum class attempt_result : std::uint8_t {
    done,
    surprised, ///< A row stood where the cache knew of none: ask the file for every head.
    failed,
  };
  attempt_result attempt(std::vector<append_request>& group, std::vector<append_result>& results);
  /// Judges and inserts one request; false on a failure of the database.
  bool write_request(append_request& request, append_result& outcome);
  /// Judges all events; those that have to be written are put into `written_`.
  append_result judge_request(append_request& request, head_cache::node& stream);
  bool insert_from(std::size_t first);
  head_cache::node* find_head(const stream_id& stream, std::uint64_t first_seq, bool& assumed_new);
  /// True if the very event stands at its place already; sets the record's offset.
  /// Nothing: it is not the stored event. Another writer's is no repeat: `wrong_epoch`.
  std::optional<verdict> judge_repeat(record& r);
  void undo();
  void finish_checkpoint();
  append_result failure(bool at_commit);

  const sqlite_log_options& options_;
  sqlite_log_rows rows_;
  std::unique_ptr<sqlite_checkpointer> checkpointer_;
  head_cache heads_;
  partition_head state_, state_before_;
  std::int64_t next_offset_ = 0;
  bool ask_file_ = false; ///< For the current attempt: no head is taken for new without a look.
  bool ended_by_commit_ = false;
  bool read_failed_ = false; ///< While a request was judged.
  std::vector<std::shared_ptr<record>> written_;
  std::optional<std::string> dead_;
  sqlite::error last_error_; ///< That ended the last attempt.

  std::int64_t page_bytes_ = 4096;
  std::int64_t wal_pages_ = 0;
  std::int64_t asked_at_pages_ = 0; ///< The WAL's size at the last request for a checkpoint.
  bool draining_ = false;           ///< The checkpointer was asked, and the rest is to follow.
  std::uint64_t finished_ = 0;      ///< Checkpoints that the writer finished.
};

} // namespace runledger
