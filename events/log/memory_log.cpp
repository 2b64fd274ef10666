#include "events/log/memory_log.hpp"

#include "events/log/append_and_wait.hpp"
#include "events/log/read_bounds.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace runledger {

namespace {

read_error corrupt(const record& r, std::string detail) {
  return {read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset, std::move(detail)};
}

} // namespace

memory_log::memory_log(const std::vector<topic_size>& topics)
    : names_(name_partitions(topics)), partitions_(names_.size()) {
  for (std::uint32_t p = 0; p < names_.size(); ++p)
    partitions_[p].state = head_of_empty(p, names_[p]);
}

/// Where the event is judged; what belongs nowhere is refused in any partition.
std::uint32_t memory_log::home_of(const envelope& e) const {
  return partition_of(e.stream, e.partition_key, names_).value_or(0);
}

std::size_t memory_log::stream_content::place_of(std::uint64_t seq) const {
  auto at = std::lower_bound(events.begin(), events.end(), seq,
                             [](const record_ptr& r, std::uint64_t s) { return r->event.seq < s; });
  return static_cast<std::size_t>(at - events.begin());
}

const record* memory_log::stream_content::find(std::uint64_t seq) const {
  auto place = place_of(seq);
  return place < events.size() && events[place]->event.seq == seq ? events[place].get() : nullptr;
}

/// The fold's verdict, and beyond its memory of one head: a repeat of any earlier event.
verdict memory_log::judge_at_place(const record& r) const {
  auto stream = streams_.find(r.event.stream);
  const stream_head* head = nullptr;
  if (stream != streams_.end()) {
    head = &stream->second.head;
    if (auto* there = stream->second.find(r.event.seq);
        there != nullptr && there->event.eventhash == r.event.eventhash)
      return hashes_match(r.event) ? verdict::duplicate : verdict::bad_hash;
  }
  return judge(partitions_[r.partition].state, head, r);
}

void memory_log::store(const std::shared_ptr<record>& r, bool accepted) {
  auto& partition = partitions_[r->partition];
  r->offset = static_cast<std::int64_t>(partition.raw.size());
  partition.raw.push_back({r, accepted});
  if (!accepted) {
    ++skipped_;
    return;
  }
  auto& stream = streams_[r->event.stream];
  advance(partition.state, stream.head, *r);
  stream.events.push_back(r);
  if (r->open)
    partition.unfinished[r->event.stream] = r->due_ms;
  else
    partition.unfinished.erase(r->event.stream);
}

/// Writes events until one is refused.
void memory_log::write_events(append_request& request, append_result& outcome) {
  const auto& stream = request.events.front()->event.stream;
  const auto home = home_of(request.events.front()->event);
  for (auto& r : request.events) {
    r->partition = home;
    auto v = r->event.stream == stream ? judge_at_place(*r) : verdict::wrong_partition;
    const record* stored = nullptr;
    if (v == verdict::duplicate) {
      stored = streams_[stream].find(r->event.seq);
      if (stored->epoch != r->epoch)
        v = verdict::wrong_epoch; // Another writer made the same event.
    }
    if (v == verdict::duplicate) {
      r->offset = stored->offset;
    } else if (v == verdict::accepted) {
      store(r, true);
    } else {
      outcome = {append_outcome::rejected, v, r->event.id() + ": " + std::string{to_string(v)}};
      return;
    }
  }
}

/// All of the request or nothing: it is taken back if a later event of it is refused.
append_result memory_log::write_request(append_request& request) {
  append_result outcome{append_outcome::accepted, verdict::accepted, {}};
  if (request.events.empty())
    return outcome;
  const auto stream = request.events.front()->event.stream;
  auto& partition = partitions_[home_of(request.events.front()->event)];
  auto state = partition.state;
  auto raw_size = partition.raw.size();
  auto head = streams_.contains(stream) ? streams_[stream].head : stream_head{};
  auto open = partition.unfinished.find(stream);
  auto due = open != partition.unfinished.end() ? std::optional{open->second} : std::nullopt;

  write_events(request, outcome);
  if (outcome.outcome == append_outcome::accepted || partition.raw.size() == raw_size)
    return outcome;
  partition.state = state;
  partition.raw.resize(raw_size);
  partition.unfinished.erase(stream);
  if (due)
    partition.unfinished[stream] = *due;
  auto& content = streams_[stream];
  content.head = head;
  content.events.resize(content.place_of(head.seq + 1));
  if (content.events.empty())
    streams_.erase(stream);
  return outcome;
}

std::vector<append_result> memory_log::write_group(std::vector<append_request>& group) {
  if (failed_)
    return alike(group.size(), append_outcome::unavailable, *failed_);
  std::optional<append_fault> fault;
  if (!faults_.empty()) {
    fault = faults_.front();
    faults_.pop_front();
  }
  if (fault == append_fault::unavailable)
    return alike(group.size(), append_outcome::unavailable, "planned: unavailable");
  if (fault == append_fault::unknown_not_written)
    return alike(group.size(), append_outcome::unknown, "planned: unknown");
  std::vector<append_result> results;
  results.reserve(group.size());
  for (auto& request : group)
    results.push_back(write_request(request));
  if (duplicates_ > 0) {
    --duplicates_;
    for (std::size_t i = 0; i < group.size(); ++i)
      if (results[i].outcome == append_outcome::accepted)
        for (const auto& r : group[i].events)
          store(std::make_shared<record>(*r), false);
  }
  if (fault)
    return alike(group.size(), append_outcome::unknown, "planned: unknown");
  return results;
}

void memory_log::write_now(held_group group) {
  std::vector<append_result> results;
  std::function<void()> listener;
  {
    std::lock_guard guard{mutex_};
    results = write_group(group.requests);
    listener = listener_;
  }
  if (listener)
    listener();
  if (group.done)
    group.done(std::move(results));
}

void memory_log::append(std::vector<append_request> group, completion done) {
  {
    std::lock_guard guard{mutex_};
    if (holding_) {
      held_.push_back({std::move(group), std::move(done)});
      return;
    }
  }
  write_now({std::move(group), std::move(done)});
}

result<std::vector<record_ptr>, read_error>
memory_log::read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const {
  std::lock_guard guard{mutex_};
  std::vector<record_ptr> out;
  auto content = streams_.find(stream);
  if (content == streams_.end())
    return out;
  const auto& events = content->second.events;
  for (auto i = content->second.place_of(from_seq); i < events.size() && out.size() < limit; ++i) {
    const auto& r = *events[i];
    if (damaged_ && !hashes_match(r.event))
      return corrupt(r, "the event's hash does not match its contents");
    if (damaged_ && r.event.prevhash != (i > 0 ? events[i - 1]->event.eventhash : digest{}))
      return corrupt(r, "the event does not follow its predecessor's hash");
    out.push_back(events[i]);
  }
  return out;
}

result<std::vector<record_ptr>, read_error> memory_log::read_partition(std::uint32_t partition,
                                                                       std::int64_t from_offset,
                                                                       std::size_t limit) const {
  std::lock_guard guard{mutex_};
  std::vector<record_ptr> out;
  if (partition >= partitions_.size())
    return out;
  const auto& raw = partitions_[partition].raw;
  std::size_t bytes = 0;
  for (auto i = static_cast<std::size_t>(std::max<std::int64_t>(from_offset, 0));
       i < raw.size() && out.size() < limit && bytes < read_bytes_limit; ++i) {
    if (!raw[i].accepted)
      continue;
    out.push_back(raw[i].event);
    bytes += raw[i].event->event.data.size();
    if (damaged_ && !hashes_match(out.back()->event)) {
      auto marked = std::make_shared<record>(*out.back());
      marked->damage = "the event's hash does not match its contents";
      out.back() = std::move(marked);
    }
  }
  return out;
}

result<std::optional<stream_head>, read_error> memory_log::head(const stream_id& stream) const {
  std::lock_guard guard{mutex_};
  auto content = streams_.find(stream);
  if (content == streams_.end())
    return std::optional<stream_head>{};
  return std::optional{content->second.head};
}

partition_head memory_log::partition_state(std::uint32_t partition) const {
  std::lock_guard guard{mutex_};
  return partitions_.at(partition).state;
}

std::int64_t memory_log::end_offset(std::uint32_t partition) const {
  std::lock_guard guard{mutex_};
  return static_cast<std::int64_t>(partitions_.at(partition).raw.size());
}

void memory_log::on_append(std::function<void()> listener) {
  std::lock_guard guard{mutex_};
  listener_ = std::move(listener);
}

result<std::vector<unfinished_stream>, read_error>
memory_log::unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const {
  std::lock_guard guard{mutex_};
  std::vector<unfinished_stream> out;
  const auto& open = partitions_.at(partition).unfinished;
  for (auto it = open.upper_bound(after); it != open.end() && out.size() < limit; ++it)
    out.push_back({it->first, it->second});
  return out;
}

std::optional<std::string> memory_log::failed() const {
  std::lock_guard guard{mutex_};
  return failed_;
}

void memory_log::hold_appends(bool hold) {
  {
    std::lock_guard guard{mutex_};
    holding_ = hold;
  }
  if (!hold)
    release_all();
}

std::size_t memory_log::held() const {
  std::lock_guard guard{mutex_};
  return held_.size();
}

bool memory_log::release_one(std::size_t place) {
  held_group group;
  {
    std::lock_guard guard{mutex_};
    if (place >= held_.size())
      return false;
    auto at = held_.begin() + static_cast<std::ptrdiff_t>(place);
    group = std::move(*at);
    held_.erase(at);
  }
  write_now(std::move(group));
  return true;
}

void memory_log::release_all() {
  while (release_one()) {
  }
}

void memory_log::crash(std::size_t surviving_events) {
  std::deque<held_group> gone;
  std::lock_guard guard{mutex_};
  gone.swap(held_);
  for (auto& group : gone)
    for (auto& request : group.requests) {
      auto survivors = std::min(surviving_events, request.events.size());
      surviving_events -= survivors;
      request.events.resize(survivors);
      write_request(request);
    }
}

void memory_log::fail_next(std::size_t groups, append_fault fault) {
  std::lock_guard guard{mutex_};
  faults_.insert(faults_.end(), groups, fault);
}

void memory_log::duplicate_next(std::size_t groups) {
  std::lock_guard guard{mutex_};
  duplicates_ += groups;
}

void memory_log::fail_for_good(std::string why) {
  std::lock_guard guard{mutex_};
  failed_ = std::move(why);
}

std::vector<verdict> memory_log::inject(const std::vector<record>& records,
                                        std::optional<std::uint32_t> partition) {
  std::vector<verdict> verdicts;
  std::function<void()> listener;
  {
    std::lock_guard guard{mutex_};
    for (const auto& sent : records) {
      auto r = std::make_shared<record>(sent);
      r->partition = partition.value_or(home_of(r->event));
      verdicts.push_back(judge_at_place(*r));
      store(r, verdicts.back() == verdict::accepted);
    }
    listener = listener_;
  }
  if (listener)
    listener();
  return verdicts;
}

bool memory_log::damage(const stream_id& stream, std::uint64_t seq) {
  std::lock_guard guard{mutex_};
  auto content = streams_.find(stream);
  if (content == streams_.end() || content->second.find(seq) == nullptr)
    return false;
  auto& place = content->second.events[content->second.place_of(seq)];
  auto changed = std::make_shared<record>(*place);
  changed->event.data += ' ';
  partitions_[place->partition].raw[static_cast<std::size_t>(place->offset)].event = changed;
  place = std::move(changed);
  damaged_ = true;
  return true;
}

std::vector<record_ptr> memory_log::raw(std::uint32_t partition, std::size_t from) const {
  std::lock_guard guard{mutex_};
  std::vector<record_ptr> out;
  const auto& all = partitions_.at(partition).raw;
  for (auto i = from; i < all.size(); ++i)
    out.push_back(all[i].event);
  return out;
}

std::size_t memory_log::skipped() const {
  std::lock_guard guard{mutex_};
  return skipped_;
}

} // namespace runledger
