#pragma once

#include "events/log/event_log.hpp"
#include "events/merkle.hpp"
#include "events/partition.hpp"
#include "events/tree_head.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runledger {

/// Follows a partition and knows the tree over its accepted events, whoever wrote them: what is in
/// the tree was read from the ledger, so a refused or lost append leaves no trace here. Holds one
/// hash for each bit of the tree's size. One thread.
///
/// Without a way to be honest (a damaged event before which no tree can go on) it stops: `failed`
/// says why, and no head is made any more.
class tree_keeper {
public:
  /// `claim`: the partition as this process took it.
  tree_keeper(const event_log& log, const partition_claim& claim);

  /// Goes to the last head whose signature is by a key that the ledger knows for its node, or, if
  /// there is none, to the partition's beginning. The events after it are read by advance.
  void start();

  /// Takes in what is new, at most about `limit` events. True: there is more.
  bool advance(std::size_t limit);
  /// Everything that the ledger held at the last advance is in the tree.
  bool current() const { return current_ && !failed_; }
  /// Leaves that no head in the ledger covers yet.
  std::uint64_t uncovered() const { return tree_.size() - covered_; }
  /// Heads that advance came by since the last call, in their order.
  std::vector<signed_tree_head> take_heads() { return std::exchange(heads_, {}); }
  const std::optional<std::string>& failed() const { return failed_; }

  /// The event with the head of the tree as it is.
  std::shared_ptr<record> make_head(std::string_view node, const ed25519::private_key& key,
                                    timestamp now) const;
  const merkle::frontier& tree() const { return tree_; }

private:
  void take(const record& r);
  void take_own(const record& r);
  /// The last head before the end of the partition's own stream.
  result<record_ptr, read_error> last_head() const;
  bool is_known(const signed_tree_head& head) const;

  const event_log& log_;
  const partition_claim claim_;
  const stream_id own_stream_;
  stream_head own_;
  merkle::frontier tree_;
  std::int64_t last_offset_ = -1; ///< Of the last leaf.
  std::int64_t position_ = 0;     ///< The next offset to read.
  std::uint64_t covered_ = 0;     ///< Leaves under the last head.
  bool current_ = false;
  std::vector<signed_tree_head> heads_;
  std::optional<std::string> failed_;
};

} // namespace runledger
