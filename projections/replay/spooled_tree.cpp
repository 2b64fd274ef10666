#include "projections/replay/spooled_tree.hpp"

#include "events/errno_text.hpp"
#include "events/merkle_paths.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

namespace runledger::replay {

namespace {

/// Leaves whose hashes are written at once.
constexpr std::uint64_t chunk_leaves = 4096, chunk_hashes = 2 * chunk_leaves;

/// Where a hash stands: in the order in which a walk from left to right meets the nodes, so that a
/// tree that grows never moves one.
std::uint64_t place_of(std::size_t level, std::uint64_t index) {
  return (index << (level + 1)) + (std::uint64_t{1} << level) - 1;
}

} // namespace

result<spooled_tree, std::string> spooled_tree::in(const std::string& folder) {
  auto pattern = (folder.empty() ? "." : folder) + "/.runledger-tree-XXXXXX";
  const int fd = ::mkstemp(pattern.data());
  if (fd < 0)
    return "no temporary file can be made in " + folder + ": " + errno_text(errno);
  ::unlink(pattern.c_str());
  return spooled_tree{fd};
}

spooled_tree::spooled_tree(int fd) : fd_(fd), chunk_(chunk_hashes) {}

spooled_tree::spooled_tree(spooled_tree&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      peaks_(std::move(other.peaks_)),
      chunk_(std::move(other.chunk_)),
      failed_(std::move(other.failed_)) {}

spooled_tree::~spooled_tree() {
  if (fd_ >= 0)
    ::close(fd_);
}

/// As in binary counting: each trailing 1 of the size is a subtree as large as the one so far.
void spooled_tree::add(const digest& content) {
  auto hash = merkle::leaf_hash(content);
  put(0, size_, hash);
  std::size_t level = 0;
  for (auto n = size_; (n & 1) != 0; n >>= 1) {
    hash = merkle::node_hash(peaks_.back(), hash);
    peaks_.pop_back();
    put(++level, n >> 1, hash);
  }
  peaks_.push_back(hash);
  if (++size_ % chunk_leaves == 0)
    write_chunk();
}

void spooled_tree::put(std::size_t level, std::uint64_t index, const digest& hash) {
  const auto place = place_of(level, index);
  const auto chunk_begin = size_ / chunk_leaves * chunk_hashes;
  if (place >= chunk_begin)
    chunk_[place - chunk_begin] = hash;
  else
    write_at(place, &hash, 1);
}

void spooled_tree::write_chunk() {
  write_at((size_ / chunk_leaves - 1) * chunk_hashes, chunk_.data(), chunk_hashes);
}

void spooled_tree::write_at(std::uint64_t place, const digest* hashes, std::size_t count) {
  const auto* from = reinterpret_cast<const char*>(hashes);
  auto left = count * sizeof(digest);
  auto at = static_cast<off_t>(place * sizeof(digest));
  while (left > 0 && failed_.empty()) {
    const auto n = ::pwrite(fd_, from, left, at);
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0) {
      failed_ = "the temporary file for proofs cannot be written: " + errno_text(errno);
      return;
    }
    from += n;
    at += n;
    left -= static_cast<std::size_t>(n);
  }
}

digest spooled_tree::node(std::size_t level, std::uint64_t index) const {
  const auto place = place_of(level, index);
  const auto chunk_begin = size_ / chunk_leaves * chunk_hashes;
  if (place >= chunk_begin)
    return chunk_[place - chunk_begin];
  digest out;
  const auto n =
      ::pread(fd_, out.bytes.data(), out.bytes.size(), static_cast<off_t>(place * sizeof(digest)));
  if (n != static_cast<ssize_t>(out.bytes.size()) && failed_.empty())
    failed_ = "the temporary file for proofs cannot be read: " + errno_text(n < 0 ? errno : EIO);
  return out;
}

digest spooled_tree::root(std::uint64_t size) const {
  return merkle::range_hash([this](auto level, auto index) { return node(level, index); }, 0, size);
}

std::vector<digest> spooled_tree::inclusion(std::uint64_t index, std::uint64_t size) const {
  return merkle::inclusion_path([this](auto level, auto i) { return node(level, i); }, index, size);
}

std::vector<digest> spooled_tree::consistency(std::uint64_t old_size, std::uint64_t size) const {
  return merkle::consistency_path([this](auto level, auto i) { return node(level, i); }, old_size,
                                  size);
}

} // namespace runledger::replay
