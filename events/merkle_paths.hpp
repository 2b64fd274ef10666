#pragma once

#include "events/merkle.hpp"

#include <algorithm>
#include <bit>

/// The proofs of RFC 6962 over a tree whose hashes lie anywhere: in memory (merkle::tree), in a
/// file. `node(level, index)` gives the root of the perfect subtree of 2^level leaves that begins
/// at leaf index * 2^level. Pure.
namespace runledger::merkle {

/// The largest power of two below n; n > 1.
inline std::uint64_t split_of(std::uint64_t n) {
  return std::bit_floor(n - 1);
}

/// The hash over the leaves from `first` on, `count` of them, as RFC 6962 splits them.
template <class Node>
digest range_hash(const Node& node, std::uint64_t first, std::uint64_t count) {
  if (count == 0)
    return sha256({});
  if (std::has_single_bit(count)) // Perfect subtrees begin at a multiple of their size.
    return node(static_cast<std::size_t>(std::countr_zero(count)), first / count);
  auto left = split_of(count);
  return node_hash(range_hash(node, first, left), range_hash(node, first + left, count - left));
}

/// The audit path of leaf `index` (below `size`), from the leaf upwards (2.1.1).
template <class Node>
std::vector<digest> inclusion_path(const Node& node, std::uint64_t index, std::uint64_t size) {
  std::vector<digest> path;
  std::uint64_t first = 0;
  while (size > 1) {
    auto left = split_of(size);
    if (index < left) {
      path.push_back(range_hash(node, first + left, size - left));
      size = left;
    } else {
      path.push_back(range_hash(node, first, left));
      first += left;
      index -= left;
      size -= left;
    }
  }
  std::reverse(path.begin(), path.end());
  return path;
}

/// Proves that the tree of `old_size` leaves (1 to `size`) is a prefix of that of `size` (2.1.2).
template <class Node>
std::vector<digest> consistency_path(const Node& node, std::uint64_t old_size, std::uint64_t size) {
  std::vector<digest> path;
  std::uint64_t first = 0;
  bool is_old_root = true; // The part looked at is the whole old tree, whose root is known.
  while (old_size < size) {
    auto left = split_of(size);
    if (old_size <= left) {
      path.push_back(range_hash(node, first + left, size - left));
      size = left;
    } else {
      path.push_back(range_hash(node, first, left));
      is_old_root = false;
      first += left;
      old_size -= left;
      size -= left;
    }
  }
  if (!is_old_root)
    path.push_back(range_hash(node, first, size));
  std::reverse(path.begin(), path.end());
  return path;
}

} // namespace runledger::merkle
