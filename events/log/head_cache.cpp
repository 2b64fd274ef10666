#include "events/log/head_cache.hpp"

namespace runledger {

head_cache::node* head_cache::find(const stream_id& stream) {
  auto at = entries_.find(stream);
  if (at == entries_.end())
    return nullptr;
  at->second.used = true;
  return &*at;
}

const head_cache::entry* head_cache::look(const stream_id& stream) const {
  auto at = entries_.find(stream);
  return at != entries_.end() ? &at->second : nullptr;
}

head_cache::node* head_cache::insert(const stream_id& stream) {
  if (entries_.size() >= capacity_)
    evict_one();
  auto* added = &*entries_.try_emplace(stream).first;
  added->second.slot = clock_.size();
  clock_.push_back(added);
  return added;
}

void head_cache::erase(node* stream) {
  auto slot = stream->second.slot;
  clock_[slot] = clock_.back();
  clock_[slot]->second.slot = slot;
  clock_.pop_back();
  entries_.erase(entries_.find(stream->first));
}

/// The clock: an entry that was used since the hand came by last gets another round. A group that
/// touched everything grows the cache a little.
void head_cache::evict_one() {
  for (std::size_t tries = 2 * clock_.size(); tries > 0; --tries) {
    hand_ = hand_ + 1 < clock_.size() ? hand_ + 1 : 0;
    auto& e = clock_[hand_]->second;
    if (!e.used && e.group != group_)
      return erase(clock_[hand_]);
    e.used = false;
  }
}

head_cache::saved head_cache::save(const entry& e) {
  return {e.head.seq, e.head.hash, e.head.time, e.open, e.due_ms};
}

void head_cache::restore(entry& e, const saved& s) {
  e.head.seq = s.seq;
  e.head.hash = s.hash;
  e.head.time = s.time;
  e.open = s.open;
  e.due_ms = s.due_ms;
  if (s.seq == 0)
    e.head.partition_key.clear();
}

void head_cache::touch(node* stream, const saved& before) {
  if (stream->second.group == group_)
    return;
  stream->second.group = group_;
  changes_.push_back({stream, before});
}

void head_cache::commit() {
  changes_.clear();
  ++group_;
}

void head_cache::rollback() {
  ++group_;
  for (auto& c : changes_) {
    restore(c.stream->second, c.before);
    if (c.before.seq == 0)
      erase(c.stream);
  }
  changes_.clear();
}

} // namespace runledger
