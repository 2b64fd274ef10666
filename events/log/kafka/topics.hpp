#pragma once

#include "events/log/kafka/client.hpp"
#include "events/result.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// The ledger's topics: made with the settings that keep what is acknowledged, and checked at every
/// start, because a topic that somebody else made or altered may lose events without a word.
namespace runledger::kafka {

/// How large a record may be, lz4 not counted.
constexpr std::int64_t largest_record_bytes = std::int64_t{16} << 20;

/// What is wanted of the cluster.
struct topic_wishes {
  std::string prefix = "runledger";
  std::uint32_t partitions = 12; ///< Of a topic that is made now.
  std::uint32_t replication = 0; ///< 0: three, or as many as there are brokers.
  bool blobs = true;             ///< The topic for blobs too.
  /// Asks only: no topic is made.
  bool read_only = false;
  /// Labels of topics of which this node has read records, and in which cluster: there they are
  /// never made, for one that is missing was deleted.
  std::vector<std::string> known = {};
  std::string known_cluster = {};
};

struct ledger_topic {
  std::string name;  ///< With the prefix.
  std::string label; ///< Without: `runs`.
  std::uint32_t partitions = 0;
  std::uint32_t replicas = 0; ///< Of the partition that has the fewest.
};

/// What was found or made.
struct topic_report {
  std::vector<ledger_topic> topics;  ///< In the order of ledger_topic_labels, then `blobs`.
  std::vector<std::string> made;     ///< Names of new topics.
  std::vector<std::string> warnings; ///< For the operator: nothing is refused for these.
};

/// Names of the ledger's topics without prefix, in the order in which their partitions are
/// numbered.
const std::vector<std::string>& ledger_topic_labels();

/// Makes the topics that are not there and checks those that are. An error is for the operator,
/// one line for each thing that is wrong, with the command that puts it right. Blocks until the
/// brokers have answered, at most about `patience`.
result<topic_report, std::string>
prepare_topics(const cluster& with, const topic_wishes& wishes,
               std::chrono::milliseconds patience = std::chrono::seconds{30});

/// A setting of a topic as the broker tells it.
struct topic_setting {
  std::string name, value;
};

/// What of a topic's settings would lose events, as `kafka-configs.sh --add-config` wants it put
/// right; empty: nothing. `replicas` is how many copies the topic has.
std::vector<topic_setting> dangerous_settings(const std::vector<topic_setting>& found,
                                              std::uint32_t replicas);

} // namespace runledger::kafka
