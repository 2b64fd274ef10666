#pragma once

#include "events/log/kafka_record.hpp"
#include "events/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_message_s;
struct rd_kafka_topic_s;

/// Thin ownership over librdkafka's C API: a producer, a consumer, and questions to the cluster,
/// with the settings that a ledger needs and one type of error.
namespace runledger::kafka {

/// What librdkafka or a broker said.
struct error {
  int code = 0;             ///< rd_kafka_resp_err_t; below zero: the client's own.
  bool fatal = false;       ///< The client instance is of no use any more.
  std::string message;      ///< One line.
  std::string name() const; ///< `_TIMED_OUT`, `TOPIC_AUTHORIZATION_FAILED`.
};

/// How a cluster is reached.
struct cluster {
  std::string brokers; ///< `host:port` of the first brokers, with commas.
  /// Passed to librdkafka: TLS, SASL. What the ledger's promises rest on cannot be set
  /// (forbidden_property).
  std::map<std::string, std::string> properties = {};
  /// What librdkafka has to say, from any of its threads: syslog's level (3 an error, 4 a warning,
  /// 7 the finest) and one line. May be empty.
  std::function<void(int level, std::string_view line)> log = {};
};

/// Why `name` must not stand among the properties of a ledger's cluster; nothing if it may.
std::optional<std::string> forbidden_property(std::string_view name);

/// A partition of a topic by its full name.
struct raw_partition {
  std::string topic;
  std::int32_t partition = 0;
  friend auto operator<=>(const raw_partition&, const raw_partition&) = default;
};

/// What the cluster says about a partition.
struct partition_info {
  std::int32_t id = 0;
  std::int32_t leader = -1; ///< Broker id; -1: none now.
  std::size_t replicas = 0;
};
struct topic_info {
  std::string name;
  std::vector<partition_info> partitions; ///< By id.
};
struct cluster_info {
  std::size_t brokers = 0;
  std::vector<topic_info> topics;
  /// Nothing: there is no such topic.
  const topic_info* find(std::string_view topic) const;
};

/// A client instance of librdkafka and its threads. Calls block at most `timeout` and may come from
/// any thread.
class client {
public:
  client(const client&) = delete;
  client& operator=(const client&) = delete;

  /// What the cluster says about its brokers and all its topics; none is created.
  result<cluster_info, error> describe(std::chrono::milliseconds timeout) const;
  /// The same of those topics alone that this instance writes or reads.
  result<cluster_info, error> describe_used(std::chrono::milliseconds timeout) const;
  /// The cluster's id; asks a broker where none has told it yet.
  result<std::string, error> cluster_id(std::chrono::milliseconds timeout) const;
  /// One past the last record of each partition, in the order of `partitions`, with one request per
  /// broker; again where that failed, until the time is over.
  result<std::vector<std::int64_t>, error> ends(const std::vector<raw_partition>& partitions,
                                                std::chrono::milliseconds timeout) const;
  /// Set once the instance is of no use any more.
  std::optional<error> fatal() const;

  rd_kafka_s* raw() const { return raw_.get(); }

protected:
  client() = default;
  ~client() = default;
  enum class kind : std::uint8_t { producer, consumer };
  using setting = std::pair<std::string, std::string>;
  /// Starts the instance. `own` stands behind the cluster's properties: what they may say counts.
  result<void, error> start(kind what, const cluster& with, const std::vector<setting>& own);
  virtual void configure(rd_kafka_conf_s*) {}

private:
  struct callbacks;
  struct destroyer {
    void operator()(rd_kafka_s* raw) const;
  };
  result<cluster_info, error> ask(bool all_topics, std::chrono::milliseconds timeout) const;
  result<std::vector<std::int64_t>, error> ends_now(const std::vector<raw_partition>& partitions,
                                                    std::chrono::milliseconds timeout) const;

  std::function<void(int, std::string_view)> log_; ///< Called until the instance is gone.
  std::unique_ptr<rd_kafka_s, destroyer> raw_;
};

/// Writes records: idempotent, acknowledged by all in-sync replicas, in order per partition, lz4.
/// A record does not time out before five minutes: when the brokers have been away for longer than
/// somebody wants to wait, its fate is open, and it may still be written.
class producer final : public client {
public:
  /// What became of a record that was not acknowledged, from poll() or the destructor. `tag` is the
  /// one it was sent with; `perhaps_stored`: the broker may have it.
  using failure_listener = std::function<void(void* tag, bool perhaps_stored, const error& why)>;

  /// A record is acknowledged.
  using success_listener = std::function<void(void* tag)>;

  /// Without `on_stored` nobody is told of what was acknowledged, which costs less.
  static result<std::unique_ptr<producer>, error>
  open(const cluster& with, failure_listener on_failure, success_listener on_stored = {});
  /// What was not acknowledged is given up and reported.
  ~producer();

  /// Asks for the leaders of these topics' partitions: the first record of a topic that was not
  /// asked for waits for up to a second. Not needed for more than speed.
  void prepare(const std::vector<std::string>& topics, std::chrono::milliseconds timeout);
  /// Queues a record; key, headers and value are copied. An error: nothing was queued.
  result<void, error> send(const raw_partition& to, const record_view& what, void* tag);
  /// Reports failures, for at most `wait`.
  void poll(std::chrono::milliseconds wait);
  /// Waits until everything is acknowledged or has failed; false if that took longer.
  bool flush(std::chrono::milliseconds timeout);
  /// Records that are neither acknowledged nor reported.
  std::size_t unfinished() const;

private:
  producer() = default;
  void configure(rd_kafka_conf_s* conf) override;
  static void report(rd_kafka_s*, const rd_kafka_message_s* message, void* self);

  rd_kafka_topic_s* handle_of(const std::string& topic);

  failure_listener on_failure_;
  success_listener on_stored_;
  std::mutex mutex_;
  std::map<std::string, rd_kafka_topic_s*> topics_; ///< Known as long as a handle is there.
};

/// What the consumer got: a record, the news that a partition's end was reached, or an error.
class message {
public:
  message() = default;
  explicit message(rd_kafka_message_s* raw) : raw_(raw) {}

  explicit operator bool() const { return raw_ != nullptr; }
  bool is_record() const;
  bool is_end() const;          ///< offset() is where the next record will be.
  bool is_out_of_range() const; ///< The partition does not have the offset that was asked for.
  error why() const;            ///< What else it is.

  std::string_view topic() const; ///< Empty where the message is of no partition.
  std::int32_t partition() const;
  std::int64_t offset() const;
  /// Of a record. Valid as long as the message is and `headers`, which it fills.
  record_view content(std::vector<header_view>& headers) const;

private:
  struct destroyer {
    void operator()(rd_kafka_message_s* raw) const;
  };
  std::unique_ptr<rd_kafka_message_s, destroyer> raw_;
};

/// Reads partitions from given places on, without a group's help: nothing is committed.
class consumer final : public client {
public:
  struct place {
    raw_partition where;
    std::int64_t offset = 0; ///< Of the first record to be read.
  };

  static result<std::unique_ptr<consumer>, error> open(const cluster& with);
  ~consumer();

  /// Reads these from now on, and no others.
  result<void, error> assign(const std::vector<place>& places);
  /// The next message; waits at most so long for one.
  message poll(std::chrono::milliseconds wait);
  /// One past the partition's last record as a broker said when something was read; -1: not yet.
  std::int64_t heard_end(const raw_partition& of) const;

private:
  consumer() = default;
};

} // namespace runledger::kafka
