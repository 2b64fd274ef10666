#pragma once

#include "events/log/event_log.hpp"
#include "events/log/kafka/client.hpp"
#include "events/log/kafka_record.hpp"
#include "events/topics.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace runledger {

/// How a ledger in Kafka is opened.
struct kafka_log_options {
  kafka::cluster cluster;
  std::string prefix = "runledger"; ///< First part of every topic's name.
  /// The ledger's topics, without prefix, as they are in the cluster (kafka::prepare_topics).
  std::vector<topic_size> topics;
  std::string replica_file; ///< The SQLite file that this node keeps of the ledger.
  bool read_only = false;   ///< Reads to the end, then no more: for offline tools.
  /// Without an answer of any broker for so long, nothing is given to the producer.
  std::chrono::milliseconds session_timeout{6000};
  /// An append that was not read back after so long is `unknown`.
  std::chrono::milliseconds append_timeout{10'000};
  /// The start waits so long for a first answer.
  std::chrono::milliseconds patience{30'000};
  /// How often the last records are compared with the replica's where nothing points to a change.
  std::chrono::milliseconds compare_interval{30'000};
  /// How records are written; readers take both.
  kafka::content_mode mode = kafka::content_mode::binary;
  std::size_t most_in_flight = 100'000; ///< Events that wait to be read back; beyond: unavailable.
  /// What the operator should know: syslog's level and one line, from any thread. May be empty.
  std::function<void(int level, std::string_view line)> log = {};
};

/// Figures for /metrics; counted since the log was opened.
struct kafka_log_figures {
  std::array<std::uint64_t, 8> records{}; ///< By the fold's verdict; [0] are accepted.
  std::uint64_t foreign = 0;              ///< Records that are no events of ours.
  std::uint64_t lag = 0;                  ///< Records that the brokers have and the replica not.
  std::uint64_t in_flight = 0;            ///< Events that wait to be read back.
  std::uint64_t unknown = 0;              ///< Appends whose outcome could not be told.
  std::uint64_t unavailable = 0;          ///< Appends that were refused before they were written.
  std::uint64_t producers = 0;            ///< That were started; the first counts.
  std::uint64_t barriers = 0;             ///< Rounds that asked the brokers for their ends.
};

/// The ledger in Kafka topics. One record an event (events/log/kafka_record.hpp), written to the
/// partition that the event belongs to by an idempotent producer with acks=all, and accepted when
/// it was read back and the fold said so: the order of the partition decides, not the writer. This
/// node reads every partition and keeps what the fold accepts in a replica
/// (events/log/replica.hpp), from which all reads are answered, whether brokers are there or not.
///
/// An append is judged before it is written by what is known here, which keeps most refused events
/// out of the topic, never by that alone. `rejected` therefore may leave a prefix of a request
/// behind, as a crash does. `unavailable`: nothing was given to a broker. `unknown`: it was given,
/// and was not read back in time; it may still be written when a broker comes back.
///
/// A topic that lost records (truncated, made anew) no longer fits the replica. At the start the
/// replica is made anew then; later the log is dead (`failed()`), since actors and views stand on
/// what is gone, and the next start makes the replica anew.
///
/// Threads: one reads, folds, completes appends and calls the listener; one asks the brokers.
class kafka_log final : public event_log {
public:
  /// Connects, brings the replica up to the brokers' end, and begins to follow it. An error is one
  /// sentence for the operator.
  static result<std::unique_ptr<kafka_log>, std::string> open(kafka_log_options options);
  /// Appends that are under way end `unknown`.
  ~kafka_log() override;

  void append(std::vector<append_request> group, completion done) override;
  result<std::vector<record_ptr>, read_error>
  read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const override;
  result<std::vector<record_ptr>, read_error> read_partition(std::uint32_t partition,
                                                             std::int64_t from_offset,
                                                             std::size_t limit) const override;
  result<std::optional<stream_head>, read_error> head(const stream_id& stream) const override;
  std::span<const topic_partition> partition_names() const override;
  partition_head partition_state(std::uint32_t partition) const override;
  std::int64_t end_offset(std::uint32_t partition) const override;
  void on_append(std::function<void()> listener) override;
  result<std::vector<unfinished_stream>, read_error>
  unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const override;
  std::optional<std::string> failed() const override;

  /// Calls `done(true)` once this node has read everything that was in the ledger when it was
  /// asked, and `done(false)` if the brokers do not tell their ends, or it was not read within
  /// `append_timeout`. All that wait share one
  /// request per broker. Any thread; `done` runs on one of the log's.
  void barrier(std::function<void(bool)> done);
  /// How long ago a broker answered.
  std::chrono::milliseconds contact() const;
  /// No broker has answered for a session timeout: writes are refused, what is read may be old.
  bool is_stale() const { return contact() >= session_timeout_; }
  /// Why a replica that was there could not be used; nothing where it was, or where none was.
  const std::optional<std::string>& made_anew() const;
  kafka_log_figures figures() const;

private:
  struct parts;
  explicit kafka_log(kafka_log_options options);

  const std::chrono::milliseconds session_timeout_;
  std::unique_ptr<parts> parts_;
};

} // namespace runledger
