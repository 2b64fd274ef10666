#pragma once

#include "events/ids.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// Which topic holds a stream, and in which of its partitions (docs/events.md, "Streams"). Pure.
/// Names of topics stand here without the prefix that a broker's have.
namespace runledger {

/// The one topic of a ledger that is not divided: it holds every stream.
inline constexpr std::string_view whole_ledger = "ledger";

/// How many partitions a topic has.
struct topic_size {
  std::string topic{whole_ledger};
  std::uint32_t partitions = 1;
};

/// A partition by its name. A ledger numbers the partitions of all its topics in one row, from 0 on
/// ("flat"); those of a topic stand together, in their order.
struct topic_partition {
  std::string topic{whole_ledger};
  std::uint32_t number = 0; ///< In its topic.
  std::uint32_t count = 1;  ///< Of its topic.
  friend bool operator==(const topic_partition&, const topic_partition&) = default;
};

/// The names of all partitions, by flat number.
std::vector<topic_partition> name_partitions(const std::vector<topic_size>& topics);

/// The topic of a stream in a ledger that is divided: `runs`, `workers`, `workspaces` or `catalog`.
/// Empty for a partition's own stream, which is written to its partition explicitly.
std::string_view topic_of(const stream_id& stream);

/// Whether a topic may hold a stream; of partitions' own streams not `topic`, but their name says.
bool topic_holds(std::string_view topic, const stream_id& stream);

/// Kafka's murmur2 partitioner (org.apache.kafka.common.utils.Utils.murmur2), so that any client
/// finds a key.
std::uint32_t partition_for(std::string_view partition_key, std::uint32_t partition_count);

/// The flat number of the partition where a stream with this key lives; of a partition's own stream
/// that partition's. Nothing: no topic of this ledger holds it.
std::optional<std::uint32_t> partition_of(const stream_id& stream, std::string_view partition_key,
                                          std::span<const topic_partition> names);

/// The name of a partition's own stream: `part_ledger_0`.
stream_id partition_stream(std::string_view topic, std::uint32_t number);
inline stream_id partition_stream(const topic_partition& name) {
  return partition_stream(name.topic, name.number);
}

} // namespace runledger
