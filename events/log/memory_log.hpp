#pragma once

#include "events/log/event_log.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace runledger {

/// How the next appends of a memory_log go wrong.
enum class append_fault : std::uint8_t {
  unavailable = 1,     ///< Nothing is written, and the writer is told so.
  unknown_not_written, ///< Nothing is written, and the writer is told nothing.
  unknown_but_written, ///< All is written, and the writer is told nothing.
};

/// The ledger in memory, for tests and the simulation: the whole port, and faults on request.
///
/// It keeps each partition raw, as a topic would: everything that ever reached it in its order
/// (offset = place), also what the fold skips, so that a second fold over raw() can be compared
/// with what readers got. Deterministic: no threads, no clock of its own. Completions come before
/// `append` returns, unless appends are held: then from within release and drop. Any thread, but
/// listener and completions run on the caller's.
class memory_log final : public event_log {
public:
  explicit memory_log(const std::vector<topic_size>& topics = {topic_size{}});

  void append(std::vector<append_request> group, completion done) override;
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const override;
  result<std::vector<record_ptr>, read_error> read_partition(std::uint32_t partition,
                                                             std::int64_t from_offset,
                                                             std::size_t limit) const override;
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const override;
  std::span<const topic_partition> partition_names() const override { return names_; }
  partition_head partition_state(std::uint32_t partition) const override;
  std::int64_t end_offset(std::uint32_t partition) const override;
  void on_append(std::function<void()> listener) override;
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const override;
  std::optional<std::string> failed() const override;

  /// From now on groups wait until they are released; false releases what waits.
  void hold_appends(bool hold);
  /// Groups that wait.
  std::size_t held() const;
  /// Writes and completes the waiting group at `place`, so also out of order. False: no such group.
  bool release_one(std::size_t place = 0);
  void release_all();
  /// The process dies: the first `surviving_events` of the waiting groups still become durable, the
  /// rest is gone, and nobody is told.
  void crash(std::size_t surviving_events);

  /// The next `groups` appends fail so.
  void fail_next(std::size_t groups, append_fault fault);
  /// The next `groups` appends reach the partition twice.
  void duplicate_next(std::size_t groups);
  /// As a failed fsync does: `failed()` is set, all appends are unavailable from now on.
  void fail_for_good(std::string why);
  /// What another writer, such as one that lost its claim, sends: each record is kept raw and
  /// judged alone, in its stream's partition or in one that the writer chose. Returns the verdicts.
  std::vector<verdict> inject(const std::vector<record>& records,
                              std::optional<std::uint32_t> partition = std::nullopt);
  /// Changes the stored bytes of an accepted event; readers must notice. False: no such event.
  bool damage(const stream_id& stream, std::uint64_t seq);

  /// Everything that reached the partition from offset `from` on, in its order, skipped records
  /// included.
  std::vector<record_ptr> raw(std::uint32_t partition, std::size_t from = 0) const;
  /// Records that the fold skipped.
  std::size_t skipped() const;

private:
  struct stored {
    record_ptr event;
    bool accepted = false;
  };
  struct partition_content {
    partition_head state;
    std::vector<stored> raw;
    std::map<stream_id, std::optional<std::int64_t>> unfinished;
  };
  struct stream_content {
    stream_head head;
    std::vector<record_ptr> events; ///< Accepted ones, in the order of their seq.

    /// The first event at or after `seq`.
    std::size_t place_of(std::uint64_t seq) const;
    /// The event at `seq`, or nullptr.
    const record* find(std::uint64_t seq) const;
  };
  struct held_group {
    std::vector<append_request> requests;
    completion done;
  };

  std::uint32_t home_of(const envelope& e) const;
  verdict judge_at_place(const record& r) const;
  append_result write_request(append_request& request);
  void write_events(append_request& request, append_result& outcome);
  void store(const std::shared_ptr<record>& r, bool accepted);
  std::vector<append_result> write_group(std::vector<append_request>& group);
  void write_now(held_group group);

  const std::vector<topic_partition> names_;
  mutable std::mutex mutex_;
  std::vector<partition_content> partitions_;
  std::unordered_map<stream_id, stream_content> streams_;
  std::function<void()> listener_;
  std::deque<held_group> held_;
  bool holding_ = false;
  std::deque<append_fault> faults_;
  std::size_t duplicates_ = 0;
  std::size_t skipped_ = 0;
  bool damaged_ = false; ///< Only then are reads checked: the simulation reads a lot.
  std::optional<std::string> failed_;
};

} // namespace runledger
