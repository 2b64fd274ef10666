#include "cli/kafka_ledger.hpp"

#include "events/log/kafka/topic_blob_store.hpp"
#include "events/log/replica_log.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <spdlog/spdlog.h>
#include <stdexcept>
#include <string_view>

namespace runledger::cli {

namespace {

/// From syslog's levels to ours.
void log_line(int level, std::string_view line) {
  const auto to = level <= 3   ? spdlog::level::err
                  : level == 4 ? spdlog::level::warn
                  : level <= 6 ? spdlog::level::info
                               : spdlog::level::debug;
  spdlog::log(to, "kafka: {}", line);
}

template <class T>
void sample(std::string& out, std::string_view name, std::string_view help, std::string_view type,
            T value) {
  fmt::format_to(std::back_inserter(out), "# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help,
                 type, value);
}

} // namespace

std::string blobs_folder(const std::string& data) {
  return data + "/topic-blobs";
}

kafka::cluster cluster_from(const kafka_settings& s) {
  return {s.brokers, s.properties, log_line};
}

std::vector<topic_size> ledger_topics(const kafka::topic_report& report) {
  std::vector<topic_size> out;
  for (const auto& topic : report.topics)
    if (std::ranges::find(kafka::ledger_topic_labels(), topic.label)
        != kafka::ledger_topic_labels().end())
      out.push_back({topic.label, topic.partitions});
  return out;
}

namespace {

/// What this node has read is never made anew.
void note_known_topics(kafka::topic_wishes& wishes, const std::string& data) {
  std::error_code ignored;
  if (std::filesystem::exists(data + "/replica.db", ignored))
    if (auto facts = replica_facts_of(data + "/replica.db");
        facts && facts->prefix == wishes.prefix) {
      wishes.known_cluster = facts->cluster;
      wishes.known = std::move(facts->read);
    }
  const auto blobs = kafka::topic_blob_store::source_of(blobs_folder(data));
  if (!blobs || blobs->topic != wishes.prefix + ".blobs")
    return;
  if (wishes.known_cluster.empty())
    wishes.known_cluster = blobs->cluster;
  if (wishes.known_cluster == blobs->cluster)
    wishes.known.push_back("blobs");
}

kafka::topic_report prepare(const settings& s, const std::string& data) {
  kafka::topic_wishes wishes;
  wishes.prefix = s.kafka.topic_prefix;
  wishes.partitions = s.kafka.partitions;
  wishes.replication = s.kafka.replication;
  wishes.blobs = s.blobs_dir.empty();
  note_known_topics(wishes, data);
  auto topics = kafka::prepare_topics(cluster_from(s.kafka), wishes);
  if (!topics)
    throw std::runtime_error(topics.error());
  for (const auto& name : topics->made)
    spdlog::info("made the topic {}", name);
  for (const auto& each : topics->warnings)
    spdlog::warn("{}", each);
  return *std::move(topics);
}

std::unique_ptr<blob_store> open_blobs(const settings& s, const kafka::ledger_topic& topic,
                                       const std::string& data) {
  kafka::blob_topic_options with;
  with.with = cluster_from(s.kafka);
  with.topic = topic.name;
  with.partitions = topic.partitions;
  with.folder = blobs_folder(data);
  with.log = log_line;
  auto blobs = kafka::topic_blob_store::open(std::move(with));
  if (!blobs)
    throw std::runtime_error(blobs.error());
  return *std::move(blobs);
}

} // namespace

kafka_ledger open_kafka_ledger(const settings& s, const std::string& data) {
  const auto topics = prepare(s, data);
  kafka_log_options with;
  with.cluster = cluster_from(s.kafka);
  with.prefix = s.kafka.topic_prefix;
  with.topics = ledger_topics(topics);
  with.replica_file = data + "/replica.db";
  with.session_timeout = std::chrono::milliseconds{s.kafka.session_timeout_ms};
  if (s.kafka.structured)
    with.mode = kafka::content_mode::structured;
  with.log = log_line;
  auto log = kafka_log::open(std::move(with));
  if (!log)
    throw std::runtime_error(log.error());
  kafka_ledger out{*std::move(log), nullptr};
  if (s.blobs_dir.empty())
    out.blobs = open_blobs(s, topics.topics.back(), data);
  return out;
}

void append_kafka_metrics(std::string& out, const kafka_log& log) {
  constexpr std::string_view records = "runledger_kafka_records_total";
  const auto f = log.figures();
  fmt::format_to(std::back_inserter(out),
                 "# HELP {0} Records read from the topics, by the fold's verdict.\n"
                 "# TYPE {0} counter\n",
                 records);
  for (std::size_t v = 0; v < f.records.size(); ++v)
    fmt::format_to(std::back_inserter(out), "{}{{verdict=\"{}\"}} {}\n", records,
                   to_string(static_cast<verdict>(v)), f.records[v]);
  fmt::format_to(std::back_inserter(out), "{}{{verdict=\"foreign\"}} {}\n", records, f.foreign);
  sample(out, "runledger_kafka_lag_records",
         "Records that the brokers have and the replica has not.", "gauge", f.lag);
  sample(out, "runledger_kafka_in_flight_events", "Events that wait to be read back.", "gauge",
         f.in_flight);
  sample(out, "runledger_kafka_unknown_appends_total", "Appends whose outcome could not be told.",
         "counter", f.unknown);
  sample(out, "runledger_kafka_unavailable_appends_total",
         "Appends that were refused before they were written.", "counter", f.unavailable);
  sample(out, "runledger_kafka_producers_total", "Producers that were started.", "counter",
         f.producers);
  sample(out, "runledger_kafka_barriers_total", "Times that the brokers were asked for their ends.",
         "counter", f.barriers);
  sample(out, "runledger_kafka_contact_age_seconds", "Time since a broker answered.", "gauge",
         static_cast<double>(log.contact().count()) / 1000.0);
  sample(out, "runledger_kafka_stale", "1 while no broker answers: writes are refused.", "gauge",
         log.is_stale() ? 1 : 0);
}

} // namespace runledger::cli
