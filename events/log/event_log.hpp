#pragma once

#include "events/envelope.hpp"
#include "events/fold.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace runledger {

/// How an append ended.
enum class append_outcome : std::uint8_t {
  accepted = 1, ///< Durable, and accepted by the fold. Writing the same event again is also this.
  rejected,     ///< The fold refused it (another event stands there, an old epoch): nothing was
                ///< written.
  unavailable,  ///< The log cannot write now (disk full, read-only): nothing was written.
  unknown, ///< It may or may not be durable. The writer must forget its state and read the stream
           ///< again.
};

/// The events of one command: one stream, consecutive, chained by prevhash, sealed.
struct append_request {
  std::vector<std::shared_ptr<record>>
      events; ///< The writer sets epoch, open and due; the log partition and offset.
};

struct append_result {
  append_outcome outcome = append_outcome::unknown;
  verdict why = verdict::accepted; ///< With `rejected`: which rule.
  std::string detail;              ///< For the log, one line; empty when accepted.
};

/// Why a read gave nothing.
struct read_error {
  enum class kind : std::uint8_t { unavailable = 1, corrupt } what;
  stream_id stream;      ///< With `corrupt`: the place.
  std::uint64_t seq = 0; ///< With `corrupt`.
  std::int64_t offset = -1;
  std::string detail;
};

/// A stream with unfinished work, as its last event says.
struct unfinished_stream {
  stream_id stream;
  std::optional<std::int64_t> due_ms; ///< Next timer, milliseconds since 1970.
};

/// The ledger: all streams, in partitions; the only truth.
///
/// Order. The events of a stream are accepted in the order of their seq; a partition has one order,
/// by offset. Durability. `append` reports `accepted` only when the events survive a crash of the
/// machine. A prefix of a request may be what survives a crash before that report; each prefix is a
/// valid history. Acceptance. Every event passes the fold (events/fold.hpp) at the moment it is
/// appended; readers get accepted events only. A row that no longer matches its hashes is never
/// handed out as sound: read_stream stops there with its place, read_partition marks it
/// (`record::damage`). Retries. The log does not retry. Its writer may append the same event again
/// at any time; from a writer of another epoch it is refused (`wrong_epoch`), because who is told
/// `accepted` acts on the event. Failure. After a failed fsync the log is dead: all appends are
/// `unavailable`, `failed()` says why, and the process must end. A full disk refuses writes and
/// heals by itself. Threads. append: one caller at a time. Everything else: any thread. The
/// completion is called once, on any thread, possibly before append returns.
class event_log {
public:
  virtual ~event_log() = default;

  using completion = std::function<void(std::vector<append_result>)>;
  /// Appends a group in one flush. One result per request, in their order. A refused request does
  /// not touch the others, unless they write the same stream later in the group.
  virtual void append(std::vector<append_request> group, completion done) = 0;

  /// The sound events of a stream from `from_seq` on, at most `limit`, with their chain checked.
  virtual result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const = 0;

  /// The records of a partition from `from_offset` on, at most `limit` or about 8 MiB of data.
  /// Empty: the end.
  virtual result<std::vector<record_ptr>, read_error>
  read_partition(std::uint32_t partition, std::int64_t from_offset, std::size_t limit) const = 0;

  /// The last accepted event of a stream; nothing for a stream without events.
  virtual result<std::optional<stream_head>, read_error> head(const stream_id& stream) const = 0;

  /// Partitions are numbered flat, 0 to partition_count() - 1 over all topics, and named: with
  /// SQLite there is `ledger`, 0 of 1. The names are the same as long as the log lives.
  virtual std::span<const topic_partition> partition_names() const = 0;
  std::uint32_t partition_count() const {
    return static_cast<std::uint32_t>(partition_names().size());
  }
  const topic_partition& partition_name(std::uint32_t partition) const {
    return partition_names()[partition];
  }
  virtual partition_head partition_state(std::uint32_t partition) const = 0;

  /// One past the offset of the last durable event. Cheap.
  virtual std::int64_t end_offset(std::uint32_t partition) const = 0;

  /// Calls `listener` (from the appending thread, briefly) after each group that became durable.
  /// One listener at a time; an empty function takes it away.
  virtual void on_append(std::function<void()> listener) = 0;

  /// A partition's streams with unfinished work, in the order of their names, after `after`.
  virtual result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const = 0;

  /// Set after a failure from which this process cannot go on (a failed fsync).
  virtual std::optional<std::string> failed() const = 0;
};

} // namespace runledger
