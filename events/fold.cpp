#include "events/fold.hpp"

#include "events/planted_bugs.hpp"

#include <charconv>

namespace runledger {

namespace {

constexpr std::string_view claimed_type = "dev.runledger.partition.claimed.v1";
constexpr std::string_view sealed_type = "dev.runledger.partition.sealed.v1";

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

/// `partition.opened` founds a partition, so nothing stands before it; a claim comes after it, and
/// behind a seal nothing comes.
verdict judge_epoch(const partition_head& partition, const record& r) {
  if (partition.sealed)
    return verdict::wrong_epoch;
  if (r.event.type == partition_opened_type) {
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

/// Rule 1 for the first event: the key is the stream itself, or for a run the session from which it
/// is derived.
bool first_key_fits(const envelope& e) {
  if (kind_of(e.stream) != stream_kind::run)
    return e.partition_key == e.stream.value;
  return derive_run_id(session_id{e.partition_key}, command_id{e.causation_id}).value
         == e.stream.value;
}

/// Whether this is the one partition where the stream lives. Asked for every event, not only the
/// first: who keeps the heads of several partitions together must come to the same answer.
bool at_home(const partition_head& partition, const envelope& e) {
  if (kind_of(e.stream) == stream_kind::partition) // Written to its partition explicitly.
    return e.stream == partition_stream(partition.topic, partition.number);
  const bool is_of_partitions =
      e.type == partition_opened_type || e.type == claimed_type || e.type == sealed_type;
  return !is_of_partitions && topic_holds(partition.topic, e.stream)
         && partition_for(e.partition_key, partition.partition_count) == partition.number;
}

verdict judge_partition(const partition_head& partition, const stream_head* head, const record& r) {
  const auto& e = r.event;
  bool fits = r.partition == partition.partition && at_home(partition, e)
              && (head != nullptr ? e.partition_key == head->partition_key : first_key_fits(e));
  return fits ? verdict::accepted : verdict::wrong_partition;
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

partition_head head_of_empty(std::uint32_t partition, const topic_partition& name) {
  partition_head out;
  out.partition = partition;
  out.topic = name.topic;
  out.number = name.number;
  return out;
}

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
  if (e.type == partition_opened_type)
    partition.partition_count =
        static_cast<std::uint32_t>(read_unsigned(e.data, "\"partitions\":"));
  else if (e.type == claimed_type)
    partition.epoch = r.epoch;
  else if (e.type == sealed_type)
    partition.sealed = true;
}

} // namespace runledger
