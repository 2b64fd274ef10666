#pragma once

#include "events/partition.hpp"
#include "events/topics.hpp"

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace runledger {

/// Which partitions of the ledger this process holds, and with which claims. Only a partition that
/// is held here is written to, and only its streams have actors here.
///
/// Threads: epoch_of, holds, held and home_of on any, the rest on the actors' thread.
class owned_partitions {
public:
  /// `names` outlives it.
  explicit owned_partitions(std::span<const topic_partition> names)
      : names_(names), epochs_(names.size()), claims_(names.size()), leaving_(names.size()) {}

  std::uint32_t count() const { return static_cast<std::uint32_t>(names_.size()); }
  std::span<const topic_partition> names() const { return names_; }

  /// Where a stream lives; nothing: the key is not known, or no topic of this ledger holds it.
  std::optional<std::uint32_t> home_of(const stream_id& stream, std::string_view key) const {
    if (names_.size() == 1)
      return 0;
    return key.empty() ? std::nullopt : partition_of(stream, key, names_);
  }

  /// The epoch that a writer stamps; 0: the partition is not held here.
  std::uint64_t epoch_of(std::uint32_t partition) const {
    return partition < epochs_.size() ? epochs_[partition].load(std::memory_order_relaxed) : 0;
  }
  bool holds(std::uint32_t partition) const { return epoch_of(partition) != 0; }
  std::vector<std::uint32_t> held() const {
    std::vector<std::uint32_t> out;
    for (std::uint32_t p = 0; p < count(); ++p)
      if (holds(p))
        out.push_back(p);
    return out;
  }

  /// The claim, also after the partition was given up.
  const partition_claim& claim_of(std::uint32_t partition) const { return claims_[partition]; }
  void take(const partition_claim& claim) {
    claims_[claim.partition] = claim;
    epochs_[claim.partition].store(claim.epoch, std::memory_order_relaxed);
  }
  /// It is held no more, and on its way out until its last actor has ended: only then it may be
  /// taken again.
  void give_up(std::uint32_t partition) {
    epochs_[partition].store(0, std::memory_order_relaxed);
    leaving_[partition] = true;
  }
  void forget(std::uint32_t partition) { leaving_[partition] = false; }
  bool is_leaving(std::uint32_t partition) const { return leaving_[partition]; }

private:
  std::span<const topic_partition> names_;
  std::vector<std::atomic<std::uint64_t>> epochs_;
  std::vector<partition_claim> claims_;
  std::vector<bool> leaving_;
};

} // namespace runledger
