#pragma once

#include "events/log/event_log.hpp"
#include "events/log/head_cache.hpp"
#include "events/log/sqlite.hpp"
#include "events/topics.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace runledger {

class sqlite_log_reader;
class sqlite_log_rows;

/// How a replica is opened.
struct replica_options {
  std::string path; ///< The SQLite file.
  /// What it is a copy of: another text, and it is made anew.
  std::string source;
  std::vector<topic_partition> names; ///< The ledger's partitions; others, and it is made anew.
  std::size_t cached_heads = 65536;
  std::size_t recent_records = 16384;               ///< Kept in memory for readers near the end...
  std::size_t recent_bytes = std::size_t{32} << 20; ///< ...and so many bytes of data at most.
};

/// What a partition gave at one place.
struct raw_record {
  std::uint32_t partition = 0; ///< Flat.
  std::int64_t offset = 0;
  std::shared_ptr<record> event;       ///< Nothing: the record is none of ours, and is skipped.
  verdict outcome = verdict::accepted; ///< Set by judge().
};

/// How far a partition was read.
struct replica_position {
  std::int64_t next = 0;  ///< The next offset to be read.
  std::int64_t last = -1; ///< The last record that was read; -1: none.
  digest last_hash;       ///< Of that record as it came, so that another one there is noticed.
};

/// A ledger's partitions, kept elsewhere, as one SQLite file with the schema of `ledger.db`: what
/// the fold accepts of them, and how far they were read. It can be rebuilt at any time, so nothing
/// is synced: after the machine stopped without a clean end the file is not trusted.
///
/// One thread feeds it: judge(), store() until it succeeds, publish(). Only then do readers get the
/// events. Everything const is for any thread.
class replica {
public:
  /// Opens the file, or makes it, also where one cannot be used: made_anew() says why. An error is
  /// one sentence for the operator.
  static result<std::unique_ptr<replica>, std::string> open(replica_options options);
  /// A clean end makes the file trusted at the next start.
  ~replica();
  replica(const replica&) = delete;
  replica& operator=(const replica&) = delete;

  /// Why a file that was there was not used; nothing where it was, or where there was none.
  const std::optional<std::string>& made_anew() const { return made_anew_; }
  /// Makes the next open() start from nothing, and says why.
  void distrust(const std::string& why);

  // The feeding thread.

  /// Sets each record's `outcome` as the fold says, in their order. False: the file cannot be read
  /// (last_error()), and nothing more is to be done.
  bool judge(std::vector<raw_record>& batch);
  /// Writes what judge() accepted, and the positions of the partitions that were read. After a
  /// failure it may be called again.
  bool store(const std::vector<raw_record>& batch,
             const std::vector<std::pair<std::uint32_t, replica_position>>& read);
  /// Shows what was stored to readers.
  void publish(const std::vector<raw_record>& batch);
  /// How the event at a record's place compares with it: `duplicate`, `wrong_epoch` where it is
  /// another writer's, `stale_seq` where it is another event. For stored events.
  verdict compare_stored(const record& r);
  const sqlite::error& last_error() const;

  // Any thread.

  /// What the fold knows of a stream, also ahead of what is published; nothing where that would
  /// have to be looked up.
  std::optional<stream_head> known_head(const stream_id& stream) const;
  /// The fold's, also ahead of what is published.
  partition_head fold_state(std::uint32_t partition) const;
  replica_position position(std::uint32_t partition) const;

  std::span<const topic_partition> names() const { return options_.names; }
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const;
  result<std::vector<record_ptr>, read_error>
  read_partition(std::uint32_t partition, std::int64_t from_offset, std::size_t limit) const;
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const;
  partition_head partition_state(std::uint32_t partition) const;
  std::int64_t end_offset(std::uint32_t partition) const;
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const;

private:
  /// Of one partition, what readers share.
  struct published {
    partition_head state;
    std::int64_t end = 0;
    std::deque<record_ptr> recent; ///< The end of what was accepted, nothing left out.
  };

  explicit replica(replica_options options);
  void forget();
  result<void, std::string> start();
  result<void, std::string> make();
  result<void, std::string> use();
  /// Nothing: the file is as it was left, and of this source.
  std::optional<std::string> why_unusable();
  result<void, std::string> load();
  head_cache::node* find_head(const stream_id& stream);
  verdict judge_one(raw_record& r, bool sound);
  bool write_position(std::uint32_t partition, const replica_position& at);
  std::string identity() const;
  template <class Use>
  auto with_reader(Use&& use) const -> decltype(use(std::declval<sqlite_log_reader&>()));

  const replica_options options_;
  std::optional<std::string> made_anew_;
  std::unique_ptr<sqlite_log_rows> rows_; ///< The feeding thread's.
  sqlite::statement set_position_;
  bool read_failed_ = false;
  std::atomic<bool> in_order_{false}; ///< The file may be trusted after a clean end.

  mutable std::mutex fold_mutex_;
  head_cache heads_;
  std::vector<partition_head> fold_;

  mutable std::mutex mutex_; ///< Guards what follows.
  std::vector<published> published_;
  std::vector<replica_position> positions_;
  std::deque<std::pair<std::uint32_t, std::size_t>> recent_order_; ///< Partition and weight.
  std::size_t recent_weight_ = 0;
  mutable std::vector<std::unique_ptr<sqlite_log_reader>> idle_readers_;
};

} // namespace runledger
