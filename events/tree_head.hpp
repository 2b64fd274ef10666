#pragma once

#include "events/chain.hpp"
#include "events/copied_ledger.hpp"
#include "events/ed25519.hpp"
#include "events/merkle.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// TREE HEADS: the signed Merkle root of a partition. The leaves are the `eventhash` of its
/// accepted events in the order of offsets, without those of the partition's own stream, where the
/// heads stand; that stream is covered by `prevhash`. Normative: docs/events.md. Pure.
namespace runledger {

/// What `partition.tree_head` says.
struct tree_head {
  static constexpr std::string_view name = "partition.tree_head";
  std::uint64_t tree_size = 0;       ///< Leaves, at least one.
  digest root;                       ///< Of their tree.
  std::int64_t last_offset = -1;     ///< Of the last leaf.
  std::string node;                  ///< Who signed.
  digest key;                        ///< With which key: its fingerprint.
  std::string signature;             ///< Base64, over signed_bytes().
  std::vector<std::string> frontier; ///< The tree's peaks in hex: from here it can be continued.
  friend bool operator==(const tree_head&, const tree_head&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("tree_size", f.tree_size);
    v("root", f.root);
    v("last_offset", f.last_offset);
    v("node", f.node);
    v("key", f.key);
    v("signature", f.signature);
    v("frontier", f.frontier);
  }
};
/// The facts of a partition's own stream that the codec knows.
using partition_event =
    std::variant<tree_head, partition_sealed, ledger_copy_started, ledger_copied>;

/// The tree of which the head speaks; nothing if its frontier does not give its root.
std::optional<merkle::frontier> tree_of(const tree_head& head);

/// A head with all that its signature covers: it can be checked far from the ledger. A line of
/// `DATA/tree-heads` is one.
struct signed_tree_head {
  std::string ledger;    ///< The ledger's id.
  std::string partition; ///< The partition's own stream.
  std::uint64_t seq = 0; ///< The head's place in it...
  digest prevhash;       ///< ...and the hash of what stands before.
  timestamp time{};
  std::uint64_t tree_size = 0;
  digest root;
  std::int64_t last_offset = -1;
  std::string node;
  digest key;
  std::string signature; ///< Base64.
  friend bool operator==(const signed_tree_head&, const signed_tree_head&) = default;
};
/// The event's head; nothing if it is no tree head or cannot be read.
std::optional<signed_tree_head> signed_head_of(const envelope& e, std::string_view ledger);

/// The bytes that the signature covers.
std::string signed_bytes(const signed_tree_head& head);
/// True if `key` is the one that the head names and has signed it.
bool is_signed_by(const signed_tree_head& head, const ed25519::public_key& key);

/// One JSON object without a line end.
std::string to_line(const signed_tree_head& head);
/// Nothing if a member is missing or wrong. Unknown members are ignored.
std::optional<signed_tree_head> head_from_line(std::string_view line);

/// What makes a head.
struct head_source {
  std::string_view ledger;
  stream_head own; ///< Of the partition's own stream.
  std::uint64_t epoch = 0;
  std::string_view node;
  timestamp now{};
};
/// The event with the signed head of this tree, whose last leaf stands at `last_offset`.
std::shared_ptr<record> make_tree_head(const head_source& from, const merkle::frontier& tree,
                                       std::int64_t last_offset, const ed25519::private_key& key);

} // namespace runledger
