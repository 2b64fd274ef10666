#pragma once

#include "events/envelope.hpp"
#include "events/topics.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// The one rule of acceptance. Server, views, replay, verifier and documented consumers decide
/// alike: the first valid event wins, the rest are skipped. Pure: no clock, no storage, no threads.
namespace runledger {

/// The first event of each partition's own stream.
inline constexpr std::string_view partition_opened_type = "dev.runledger.partition.opened.v1";

/// What the fold remembers of a stream.
struct stream_head {
  std::uint64_t seq = 0;
  digest hash;               ///< eventhash of the last accepted event.
  std::string partition_key; ///< Of the first event; later ones carry the same.
  timestamp time{};          ///< Of the last accepted event; not part of any check.
};

/// What the fold remembers of a partition beside its streams.
struct partition_head {
  std::uint32_t partition = 0;       ///< Flat: over all topics.
  std::uint32_t partition_count = 0; ///< Of its topic, as it was founded; 0: `partition.opened` has
                                     ///< not been accepted yet.
  std::uint64_t epoch = 0;           ///< The last accepted claim's; 0 before the first.
  std::string topic{whole_ledger};
  std::uint32_t number = 0; ///< In its topic.
  bool sealed = false;      ///< `partition.sealed` was accepted: nothing is, any more.
};
/// A partition before its first event.
partition_head head_of_empty(std::uint32_t partition, const topic_partition& name);

enum class verdict : std::uint8_t {
  accepted = 0,
  duplicate,       ///< The very event that is the stream's head: a no-op.
  stale_seq,       ///< At or before the head: a repeat or a conflict.
  gap,             ///< Beyond head + 1.
  wrong_epoch,     ///< The writer's epoch is not the partition's (or a claim's is not the next).
  wrong_partition, ///< Rule 1: partition key, topic or partition do not fit.
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

} // namespace runledger
