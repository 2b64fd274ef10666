#pragma once

#include "events/log/ledger_copy.hpp"
#include "events/partition.hpp"

#include <string>
#include <vector>

namespace runledger {

/// The first half of a copy: every partition of the source gets its seal, if it has none, and says
/// what it holds. One thread.
class partition_sealing {
public:
  /// `node`: as which partitions are claimed. `to_ledger`: the id of the ledger that goes on.
  partition_sealing(const copy_options& options, std::string node, std::string to_ledger)
      : options_(options), log_(*options.from.log), node_(std::move(node)), to_(to_ledger) {}

  result<std::vector<copied_partition>, copy_error> seal_all();

private:
  result<void, copy_error> seal(std::uint32_t partition);
  /// A seal that is there is that of this copy.
  result<void, copy_error> expect_own_seal(std::uint32_t partition) const;
  /// A head over everything, if there is a key to sign it and something new to be covered.
  result<void, copy_error> sign_last_head(const partition_claim& claim, class tree_keeper& tree);
  result<void, copy_error> append(std::shared_ptr<record> event, const std::string& partition);
  result<copied_partition, copy_error> describe(std::uint32_t partition) const;
  /// The node that has registered the key, among those that have held the partition.
  result<std::string, copy_error> node_of_key(std::uint32_t partition) const;

  const copy_options& options_;
  event_log& log_;
  const std::string node_, to_;
};

} // namespace runledger
