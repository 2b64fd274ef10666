#pragma once

#include "events/log/event_log.hpp"
#include "events/log/sqlite_syncer.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace runledger {

class sqlite_log_reader;

/// How a SQLite ledger is opened. The defaults are the product's.
struct sqlite_log_options {
  std::string folder = {};     ///< The data folder; the file is `ledger.db` in it.
  std::string file = {};       ///< The file, where it is another; with read_only only.
  bool read_only = false;      ///< For offline tools: leaves no trace (sqlite_source.hpp).
  bool verify_appends = false; ///< Compute the hashes of appended events anew: tests, copies.
  bool verify_partition_reads = true; ///< Of rows from the file, not of recent records.
  std::size_t cached_heads = 65536;
  std::size_t recent_records = 8192;                ///< Kept in memory for readers near the end...
  std::size_t recent_bytes = std::size_t{16} << 20; ///< ...and so many bytes of data at most.
  std::int64_t checkpoint_bytes = std::int64_t{16} << 20; ///< New WAL that wakes the checkpointer.
  /// Where the writer finishes a checkpoint although much of it is left.
  std::int64_t wal_limit_bytes = std::int64_t{192} << 20;
  /// The WAL is made so long at the start: a flush of a file that does not grow costs half.
  std::int64_t wal_preallocated_bytes = std::int64_t{24} << 20;
  int busy_timeout_ms = 2000; ///< For another program's write lock.
  /// For groups of so many requests a thread waits for the disk while the appending thread goes on.
  /// Smaller ones are not worth two wake-ups.
  std::size_t background_requests = 3;
};

/// Figures for /metrics; counted since the log was opened.
struct sqlite_log_figures {
  std::uint64_t groups = 0;      ///< Transactions that became durable.
  std::uint64_t events = 0;      ///< In them.
  std::uint64_t rejected = 0;    ///< Requests that the fold refused.
  std::uint64_t checkpoints = 0; ///< Off the writer's path, and finished by the writer.
  std::int64_t wal_bytes = 0;    ///< The write-ahead log's used part.
};

/// The ledger in one SQLite file, `DATA/ledger.db`, that any SQLite tool can read: table `events`
/// with a column per attribute, `unfinished`, `meta`. A group is one transaction, written to the
/// WAL, and one fdatasync of the WAL; before that nobody in this process sees it
/// (docs/decisions/0075). One partition, topic `ledger`.
///
/// The WAL: when 16 MiB of it are new, the checkpointer moves them into the file while the writer
/// goes on; when little is left the writer moves the rest between two groups, and the next group
/// begins at the WAL's start again. So it stays short, is written in place, and commits do not
/// wait.
///
/// Threads: append by one thread, which for small groups also runs listener and completion before
/// append returns; for larger ones the syncer's thread does. Reads by any, each on a connection of
/// its own. Recent records are shared from memory. A passive
/// checkpoint runs on a thread that sleeps until the WAL has grown; an idle ledger does nothing.
/// The caller holds the data folder's lock (data_folder_lock).
class sqlite_log final : public event_log {
public:
  /// Opens the ledger, or creates it with mode 0600 (never with `read_only`). An error is one
  /// sentence for the operator; a newer schema is refused. With `read_only` a ledger opens although
  /// its partition's own stream is damaged: that is for its readers to find.
  static result<std::unique_ptr<sqlite_log>, std::string> open(sqlite_log_options options);
  /// A clean end moves the WAL into the file. After a failure nothing is touched any more.
  ~sqlite_log() override;

  void append(std::vector<append_request> group, completion done) override;
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const override;
  result<std::vector<record_ptr>, read_error> read_partition(std::uint32_t partition,
                                                             std::int64_t from_offset,
                                                             std::size_t limit) const override;
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const override;
  std::span<const topic_partition> partition_names() const override { return {&name_, 1}; }
  partition_head partition_state(std::uint32_t partition) const override;
  std::int64_t end_offset(std::uint32_t partition) const override;
  void on_append(std::function<void()> listener) override;
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const override;
  std::optional<std::string> failed() const override;

  /// For who reads every row and keeps none: the rows from `from_offset` on, checked like those of
  /// read_partition, into the records of `into`, whose memory is used again. How many there were;
  /// 0: the end. With read_only.
  result<std::size_t, read_error> read_rows(std::int64_t from_offset,
                                            std::vector<record>& into) const;

  sqlite_log_figures figures() const;

private:
  class writer;
  using reader = sqlite_log_reader;
  struct shared_state;
  struct reader_lease;
  explicit sqlite_log(sqlite_log_options options);

  result<void, std::string> start();
  result<void, std::string> start_reading();
  result<void, std::string> load_partition_state();
  std::int64_t synced_end() const;
  /// What the last write() left to do: sync, publish, tell the caller.
  void complete(std::vector<append_result> results,
                const std::vector<std::shared_ptr<record>>& written, const partition_head& state,
                const completion& done);
  void publish(const std::vector<std::shared_ptr<record>>& written, const partition_head& state);
  void fail(const std::string& why);
  result<reader_lease, read_error> take_reader() const;
  /// False: what was read with it counts for nothing; the next reader looks at the file anew.
  bool give_back(reader_lease lease) const;
  /// Runs `use(reader&)` on a connection that no other thread uses meanwhile; again where the file
  /// was written to behind a connection that cannot know of it.
  template <class Use>
  auto with_reader(Use&& use) const -> decltype(use(std::declval<reader&>()));

  const topic_partition name_;
  const sqlite_log_options options_;
  const std::string path_;
  std::unique_ptr<shared_state> shared_;
  std::unique_ptr<writer> writer_;
  std::unique_ptr<sqlite_syncer> syncer_;
  int wal_fd_ = -1;
};

} // namespace runledger
