#pragma once

#include "cli/settings.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/kafka/topics.hpp"
#include "events/log/kafka_log.hpp"

#include <memory>
#include <string>

namespace runledger::cli {

/// A node's copies of what the blobs' topic has, below its data folder.
std::string blobs_folder(const std::string& data);

/// How the settings' cluster is reached. `librdkafka` logs through spdlog.
kafka::cluster cluster_from(const kafka_settings& s);

/// The partitions of the ledger's topics, without that for blobs.
std::vector<topic_size> ledger_topics(const kafka::topic_report& report);

/// A ledger in Kafka, and where its blobs are.
struct kafka_ledger {
  std::unique_ptr<kafka_log> log;
  std::unique_ptr<blob_store> blobs; ///< Nothing where they are in a folder (`blobs.dir`).
};

/// Makes or checks the topics and opens the ledger; its replica is `DATA/replica.db`. Warnings go
/// to the log. Throws std::runtime_error with a sentence for the operator.
kafka_ledger open_kafka_ledger(const settings& s, const std::string& data);

/// Lines for /metrics.
void append_kafka_metrics(std::string& out, const kafka_log& log);

} // namespace runledger::cli
