#include "events/fold.hpp"

#include "events/planted_bugs.hpp"

#include <charconv>

namespace runledger {

namespace {

constexpr std::string_view opened_type = "dev.runledger.partition.opened.v1";
constexpr std::string_view claimed_type = "dev.runledger.partition.claimed.v1";

/// Reads one unsigned member of our own, machine-written payload; 0 if it is not there.
std::uint64_t read_unsigned(std::string_view data, std::string_view quoted_name) {
  auto at = data.find(quoted_name);
  if (at == std::string_view::npos)
    return 0;
  auto digits = data.substr(at + quoted_name.size());
  std::uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

/// `partition.opened` founds a partition, so nothing stands before it; a claim comes after it.
verdict judge_epoch(const partition_head& partition, const record& r) {
  if (r.event.type == opened_type) {
    bool first = partition.partition_count == 0 && partition.epoch == 0 && r.event.seq == 1;
    return first && r.epoch == 0 ? verdict::accepted : verdict::wrong_epoch;
  }
  if (r.event.type == claimed_type) {
    auto claimed = read_unsigned(r.event.data, "\"epoch\":");
    bool next = partition.partition_count != 0 && claimed == partition.epoch + 1;
    return next && r.epoch == claimed ? verdict::accepted : verdict::wrong_epoch;
  }
  if (planted(bug::fold_accepts_old_epoch))
    return verdict::accepted;
  return r.epoch == partition.epoch ? verdict::accepted : verdict::wrong_epoch;
}

/// True for `part_<topic>_<n>` with the partition's own number.
bool is_own_stream(const partition_head& partition, const stream_id& stream) {
  if (kind_of(stream) != stream_kind::partition)
    return false;
  auto digits = std::string_view{stream.value}.substr(stream.value.rfind('_') + 1);
  return digits == std::to_string(partition.partition);
}

/// Rule 1 for the first event: the key is the stream itself, or for a run the session from which it
/// is derived.
bool first_key_fits(const envelope& e) {
  if (kind_of(e.stream) != stream_kind::run)
    return e.partition_key == e.stream.value;
  return derive_run_id(session_id{e.partition_key}, command_id{e.causation_id}).value
         == e.stream.value;
}

verdict judge_partition(const partition_head& partition, const stream_head* head, const record& r) {
  const auto& e = r.event;
  if (r.partition != partition.partition)
    return verdict::wrong_partition;
  bool governs = e.type == opened_type || e.type == claimed_type;
  if (governs && !is_own_stream(partition, e.stream))
    return verdict::wrong_partition;
  if (head != nullptr)
    return e.partition_key == head->partition_key ? verdict::accepted : verdict::wrong_partition;
  if (!first_key_fits(e))
    return verdict::wrong_partition;
  if (kind_of(e.stream) == stream_kind::partition) // Written to its partition explicitly.
    return is_own_stream(partition, e.stream) ? verdict::accepted : verdict::wrong_partition;
  return partition_for(e.partition_key, partition.partition_count) == partition.partition
             ? verdict::accepted
             : verdict::wrong_partition;
}

verdict judge_place(const stream_head* head, const envelope& e) {
  auto last = head != nullptr ? head->seq : 0;
  if (head != nullptr && e.seq == last && e.eventhash == head->hash)
    return verdict::duplicate;
  if (e.seq <= last)
    return verdict::stale_seq;
  if (e.seq > last + 1 && !planted(bug::fold_accepts_gap))
    return verdict::gap;
  if (e.prevhash != (head != nullptr ? head->hash : digest{}) && !planted(bug::fold_ignores_chain))
    return verdict::broken_chain;
  return verdict::accepted;
}

} // namespace

std::string_view to_string(verdict v) {
  switch (v) {
    case verdict::accepted:
      return "accepted";
    case verdict::duplicate:
      return "duplicate";
    case verdict::stale_seq:
      return "stale_seq";
    case verdict::gap:
      return "gap";
    case verdict::wrong_epoch:
      return "wrong_epoch";
    case verdict::wrong_partition:
      return "wrong_partition";
    case verdict::broken_chain:
      return "broken_chain";
    case verdict::bad_hash:
      return "bad_hash";
  }
  return "unknown";
}

verdict judge_own(const partition_head& partition, const stream_head* head, const record& r) {
  auto place = judge_place(head, r.event);
  if (place == verdict::duplicate)
    return place;
  if (auto v = judge_epoch(partition, r); v != verdict::accepted)
    return v;
  if (auto v = judge_partition(partition, head, r); v != verdict::accepted)
    return v;
  return place;
}

verdict judge(const partition_head& partition, const stream_head* head, const record& r) {
  auto v = judge_own(partition, head, r);
  if (v != verdict::accepted && v != verdict::duplicate)
    return v;
  return hashes_match(r.event) ? v : verdict::bad_hash;
}

void advance(partition_head& partition, stream_head& head, const record& r) {
  const auto& e = r.event;
  if (head.seq == 0)
    head.partition_key = e.partition_key;
  head.seq = e.seq;
  head.hash = e.eventhash;
  head.time = e.time;
  if (e.type == opened_type)
    partition.partition_count =
        static_cast<std::uint32_t>(read_unsigned(e.data, "\"partitions\":"));
  else if (e.type == claimed_type)
    partition.epoch = r.epoch;
}

std::uint32_t partition_for(std::string_view key, std::uint32_t count) {
  if (count <= 1)
    return 0;
  constexpr std::uint32_t seed = 0x9747b28c, m = 0x5bd1e995;
  auto length = static_cast<std::uint32_t>(key.size());
  std::uint32_t h = seed ^ length;
  auto byte = [&](std::size_t i) {
    return static_cast<std::uint32_t>(static_cast<std::uint8_t>(key[i]));
  };
  std::size_t i = 0;
  for (; i + 4 <= key.size(); i += 4) {
    std::uint32_t k = byte(i) | byte(i + 1) << 8 | byte(i + 2) << 16 | byte(i + 3) << 24;
    k *= m;
    k ^= k >> 24;
    k *= m;
    h = h * m ^ k;
  }
  switch (key.size() - i) {
    case 3:
      h ^= byte(i + 2) << 16;
      [[fallthrough]];
    case 2:
      h ^= byte(i + 1) << 8;
      [[fallthrough]];
    case 1:
      h ^= byte(i);
      h *= m;
  }
  h ^= h >> 13;
  h *= m;
  h ^= h >> 15;
  return (h & 0x7fffffff) % count;
}

stream_id partition_stream(std::string_view topic, std::uint32_t partition) {
  return stream_id{"part_" + std::string{topic} + '_' + std::to_string(partition)};
}

} // namespace runledger
