#pragma once

#include "events/merkle.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace runledger::replay {

/// A Merkle tree with all its hashes, for proofs about a ledger of any size: they lie in a
/// temporary file that has no name any more, 64 bytes a leaf, so that nothing is left of it however
/// the process ends. Memory: 256 KiB. One thread.
///
/// A full disk and the like do not throw: failed() says so, and what is read from then on is
/// nonsense.
class spooled_tree {
public:
  /// An empty tree whose file lies in `folder`; an error is one sentence for the user.
  static result<spooled_tree, std::string> in(const std::string& folder);
  spooled_tree(spooled_tree&& other) noexcept;
  spooled_tree& operator=(spooled_tree&&) = delete;
  ~spooled_tree();

  /// Adds a leaf, by its content.
  void add(const digest& content);
  std::uint64_t size() const { return size_; }
  /// Empty: all is well.
  const std::string& failed() const { return failed_; }

  // Of the first `size` leaves, at most all of them:

  digest root(std::uint64_t size) const;
  std::vector<digest> inclusion(std::uint64_t index, std::uint64_t size) const;
  std::vector<digest> consistency(std::uint64_t old_size, std::uint64_t size) const;

private:
  explicit spooled_tree(int fd);
  void put(std::size_t level, std::uint64_t index, const digest& hash);
  digest node(std::size_t level, std::uint64_t index) const;
  void write_chunk();
  void write_at(std::uint64_t place, const digest* hashes, std::size_t count);

  int fd_;
  std::uint64_t size_ = 0;
  std::vector<digest> peaks_; ///< As in merkle::frontier.
  std::vector<digest> chunk_; ///< The hashes over the newest leaves, not written yet.
  mutable std::string failed_;
};

} // namespace runledger::replay
