#pragma once

#include "events/digest.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

/// Merkle trees over SHA-256 in the shape of RFC 6962, section 2.1: a leaf is hashed behind a byte
/// 0x00, a node behind 0x01, and a tree of n leaves splits at the largest power of two below n.
/// Every leaf's content is 32 bytes: the `eventhash` of an event. Pure; values may be shared once
/// nobody changes them.
namespace runledger::merkle {

/// SHA-256(0x00 || content).
digest leaf_hash(const digest& content);
/// SHA-256(0x01 || left || right).
digest node_hash(const digest& left, const digest& right);

/// A growing tree of which only the right edge is kept: one hash for each 1 in the size's binary
/// form.
class frontier {
public:
  /// Adds a leaf, by its content.
  void add(const digest& content);
  std::uint64_t size() const { return size_; }
  /// The root over all leaves so far; of no leaves SHA-256 of nothing.
  digest root() const;
  /// The roots of the perfect subtrees that the tree is made of, the largest first.
  const std::vector<digest>& peaks() const { return peaks_; }
  /// The tree that these peaks stand for; nothing if a tree of this size has another number.
  static std::optional<frontier> from(std::uint64_t size, std::vector<digest> peaks);
  friend bool operator==(const frontier&, const frontier&) = default;

private:
  std::uint64_t size_ = 0;
  std::vector<digest> peaks_;
};

/// A tree with all its leaves, for proofs. 64 bytes of memory a leaf.
class tree {
public:
  /// Adds a leaf, by its content.
  void add(const digest& content);
  std::uint64_t size() const { return levels_.empty() ? 0 : levels_.front().size(); }

  // Of the first `size` leaves, at most all of them:

  digest root(std::uint64_t size) const;
  /// The audit path of leaf `index` (below `size`), from the leaf upwards (RFC 6962, 2.1.1).
  std::vector<digest> inclusion(std::uint64_t index, std::uint64_t size) const;
  /// Proves that the tree of `old_size` leaves (1 to `size`) is a prefix of this one (2.1.2).
  std::vector<digest> consistency(std::uint64_t old_size, std::uint64_t size) const;

private:
  /// The hash over the leaves from `first` on, `count` of them, as RFC 6962 splits them.
  digest range(std::uint64_t first, std::uint64_t count) const;

  std::vector<std::vector<digest>> levels_; ///< Hashes of perfect subtrees of 2^level leaves.
};

/// True if the leaf with this content stands at `index` of the tree with this size and root.
bool verify_inclusion(const digest& content, std::uint64_t index, std::uint64_t size,
                      std::span<const digest> path, const digest& root);

/// True if the tree of `old_size` leaves is a prefix of that of `size` leaves. No proof is needed
/// for equal sizes; an empty tree is a prefix of all.
bool verify_consistency(std::uint64_t old_size, const digest& old_root, std::uint64_t size,
                        const digest& root, std::span<const digest> path);

} // namespace runledger::merkle
