#include "events/merkle.hpp"

#include "events/merkle_paths.hpp"

#include <algorithm>
#include <bit>
#include <string_view>

namespace runledger::merkle {

namespace {

auto hashes_of(const std::vector<std::vector<digest>>& levels) {
  return [&levels](std::size_t level, std::uint64_t index) { return levels[level][index]; };
}

} // namespace

digest leaf_hash(const digest& content) {
  char bytes[33] = {0};
  std::copy(content.bytes.begin(), content.bytes.end(), bytes + 1);
  return sha256({bytes, sizeof bytes});
}

digest node_hash(const digest& left, const digest& right) {
  char bytes[65] = {1};
  std::copy(left.bytes.begin(), left.bytes.end(), bytes + 1);
  std::copy(right.bytes.begin(), right.bytes.end(), bytes + 33);
  return sha256({bytes, sizeof bytes});
}

// -- the right edge ----------------------------------------------------------------------------

/// As in binary counting: each trailing 1 of the size is a subtree as large as the one so far.
void frontier::add(const digest& content) {
  auto hash = leaf_hash(content);
  for (auto n = size_; (n & 1) != 0; n >>= 1) {
    hash = node_hash(peaks_.back(), hash);
    peaks_.pop_back();
  }
  peaks_.push_back(hash);
  ++size_;
}

digest frontier::root() const {
  if (peaks_.empty())
    return sha256({});
  auto hash = peaks_.back();
  for (auto i = peaks_.size() - 1; i-- > 0;)
    hash = node_hash(peaks_[i], hash);
  return hash;
}

std::optional<frontier> frontier::from(std::uint64_t size, std::vector<digest> peaks) {
  if (peaks.size() != static_cast<std::size_t>(std::popcount(size)))
    return std::nullopt;
  frontier out;
  out.size_ = size;
  out.peaks_ = std::move(peaks);
  return out;
}

// -- the whole tree ----------------------------------------------------------------------------

void tree::add(const digest& content) {
  auto hash = leaf_hash(content);
  for (std::size_t level = 0;; ++level) {
    if (level == levels_.size())
      levels_.emplace_back();
    auto& row = levels_[level];
    row.push_back(hash);
    if (row.size() % 2 != 0)
      return;
    hash = node_hash(row[row.size() - 2], row.back());
  }
}

digest tree::range(std::uint64_t first, std::uint64_t count) const {
  return range_hash(hashes_of(levels_), first, count);
}

digest tree::root(std::uint64_t size) const {
  return range(0, size);
}

std::vector<digest> tree::inclusion(std::uint64_t index, std::uint64_t size) const {
  return inclusion_path(hashes_of(levels_), index, size);
}

std::vector<digest> tree::consistency(std::uint64_t old_size, std::uint64_t size) const {
  return consistency_path(hashes_of(levels_), old_size, size);
}

// -- checking proofs, as RFC 9162 (2.1.3.2 and 2.1.4.2) words it ---------------------------------

bool verify_inclusion(const digest& content, std::uint64_t index, std::uint64_t size,
                      std::span<const digest> path, const digest& root) {
  if (index >= size)
    return false;
  auto hash = leaf_hash(content);
  auto last = size - 1;
  for (const auto& sibling : path) {
    if (last == 0)
      return false;
    if ((index & 1) != 0 || index == last) {
      hash = node_hash(sibling, hash);
      while ((index & 1) == 0 && index != 0) {
        index >>= 1;
        last >>= 1;
      }
    } else {
      hash = node_hash(hash, sibling);
    }
    index >>= 1;
    last >>= 1;
  }
  return last == 0 && hash == root;
}

bool verify_consistency(std::uint64_t old_size, const digest& old_root, std::uint64_t size,
                        const digest& root, std::span<const digest> path) {
  if (old_size > size)
    return false;
  if (old_size == size)
    return path.empty() && old_root == root;
  if (old_size == 0)
    return path.empty() && old_root == sha256({});
  auto node = old_size - 1, last = size - 1;
  while ((node & 1) != 0) {
    node >>= 1;
    last >>= 1;
  }
  if (node != 0 && path.empty())
    return false;
  auto old_hash = node == 0 ? old_root : path.front(), hash = old_hash;
  for (const auto& c : path.subspan(node == 0 ? 0 : 1)) {
    if (last == 0)
      return false;
    if ((node & 1) != 0 || node == last) {
      old_hash = node_hash(c, old_hash);
      hash = node_hash(c, hash);
      while ((node & 1) == 0 && node != 0) {
        node >>= 1;
        last >>= 1;
      }
    } else {
      hash = node_hash(hash, c);
    }
    node >>= 1;
    last >>= 1;
  }
  return last == 0 && old_hash == old_root && hash == root;
}

} // namespace runledger::merkle
