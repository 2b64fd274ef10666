#pragma once

#include "events/envelope.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The one rule of acceptance. Server, views, replay, verifier and documented consumers decide
/// alike: the first valid event wins, the rest are skipped. Pure: no clock, no storage, no threads.
namespace runledger {

/// What the fold remembers of a stream.
struct stream_head {
  std::uint64_t seq = 0;
  digest hash;               ///< eventhash of the last accepted event.
  std::string partition_key; ///< Of the first event; later ones carry the same.
  timestamp time{};          ///< Of the last accepted event; not part of any check.
};

/// What the fold remembers of a partition beside its streams.
struct partition_head {
  std::uint32_t partition = 0;
  std::uint32_t partition_count = 0; ///< 0: `partition.opened` has not been accepted yet.
  std::uint64_t epoch = 0;           ///< The last accepted claim's; 0 before the first.
};

enum class verdict : std::uint8_t {
  accepted = 0,
  duplicate,       ///< The very event that is the stream's head: a no-op.
  stale_seq,       ///< At or before the head: a repeat or a conflict.
  gap,             ///< Beyond head + 1.
  wrong_epoch,     ///< The writer's epoch is not the partition's (or a claim's is not the next).
  wrong_partition, ///< Rule 1: partition key or partition do not fit.
  broken_chain,    ///< prevhash is not the last accepted hash.
  bad_hash,        ///< datahash or eventhash are not what the contents say.
};
std::string_view to_string(verdict v);

/// Judges one record against what was accepted before. `head` is nullptr for a stream with no
/// accepted event. Checks exactly: epoch, partition (rule 1), seq, prevhash, eventhash and datahash
/// computed anew.
verdict judge(const partition_head& partition, const stream_head* head, const record& r);

/// The same without the hashes: for a node's own events, whose hashes it has just computed.
verdict judge_own(const partition_head& partition, const stream_head* head, const record& r);

/// Takes an accepted record into account. `head` is the record's stream's.
void advance(partition_head& partition, stream_head& head, const record& r);

/// Kafka's murmur2 partitioner (org.apache.kafka.common.utils.Utils.murmur2), so that any client
/// finds a key.
std::uint32_t partition_for(std::string_view partition_key, std::uint32_t partition_count);

/// The name of a partition's own stream: `part_ledger_0`.
stream_id partition_stream(std::string_view topic, std::uint32_t partition);

} // namespace runledger
