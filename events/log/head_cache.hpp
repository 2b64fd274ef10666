#pragma once

#include "events/fold.hpp"
#include "events/ids.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

namespace runledger {

/// The heads of the streams that were written lately, bounded in number, with the changes of one
/// group of appends revocable. One thread.
///
/// Entries that the current group touched are never evicted, so references to them stay valid until
/// commit() or rollback().
class head_cache {
public:
  /// The head of a stream and what its last event says about unfinished work.
  struct entry {
    stream_head head;
    bool open = false;
    std::optional<std::int64_t> due_ms;

  private:
    friend class head_cache;
    std::uint64_t group = 0; ///< The last group that touched it.
    std::size_t slot = 0;    ///< Its place on the clock.
    bool used = false;       ///< Since the hand passed by.
  };
  using node = std::pair<const stream_id, entry>;

  /// An entry as it was; cheap, since a stream's partition key never changes.
  struct saved {
    std::uint64_t seq = 0;
    digest hash;
    timestamp time{};
    bool open = false;
    std::optional<std::int64_t> due_ms;
  };
  /// A stream that the group changed, and what it was before.
  struct change {
    node* stream;
    saved before;
  };

  explicit head_cache(std::size_t capacity) : capacity_(capacity) {}

  /// The stream's entry, or nullptr.
  node* find(const stream_id& stream);
  /// The same, and the entry is not taken for used.
  const entry* look(const stream_id& stream) const;
  /// A new, empty entry for a stream that is not there. May evict another.
  node* insert(const stream_id& stream);
  /// Takes an entry away that this group has not touched.
  void erase(node* stream);
  std::size_t size() const { return entries_.size(); }

  static saved save(const entry& e);
  static void restore(entry& e, const saved& s);

  /// Notes what the entry was before its first change in this group.
  void touch(node* stream, const saved& before);
  const std::vector<change>& changes() const { return changes_; }
  void commit();
  void rollback();

private:
  void evict_one();

  const std::size_t capacity_;
  std::unordered_map<stream_id, entry> entries_;
  std::vector<node*> clock_;
  std::size_t hand_ = 0;
  std::uint64_t group_ = 1;
  std::vector<change> changes_;
};

} // namespace runledger
