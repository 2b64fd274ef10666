#include "events/log/kafka/tail.hpp"

#include "events/log/sqlite_checkpointer.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t most_records = 2000;
constexpr std::size_t most_bytes = std::size_t{4} << 20;

} // namespace

tail::tail(const cluster& with, replica& into, std::vector<raw_partition> names,
           std::function<void(int, std::string_view)> log)
    : with_(with),
      replica_(into),
      names_(std::move(names)),
      log_(std::move(log)),
      foreign_warnings_(log_),
      next_(std::make_unique<std::atomic<std::int64_t>[]>(names_.size())) {}

result<void, error> tail::start() {
  auto opened = consumer::open(with_);
  if (!opened)
    return opened.error();
  consumer_ = *std::move(opened);
  std::vector<consumer::place> places;
  for (std::uint32_t p = 0; p < names_.size(); ++p) {
    next_[p] = replica_.position(p).next;
    places.push_back({names_[p], next_[p]});
  }
  return consumer_->assign(places);
}

void tail::say(int level, std::string line) const {
  if (log_)
    log_(level, line);
}

std::optional<std::uint32_t> tail::partition_of(const message& m) const {
  for (std::uint32_t p = 0; p < names_.size(); ++p)
    if (names_[p].partition == m.partition() && names_[p].topic == m.topic())
      return p;
  return std::nullopt;
}

void tail::take_record(std::uint32_t partition, message m) {
  auto& r = batch_.emplace_back();
  r.partition = partition;
  r.offset = m.offset();
  const auto content = m.content(headers_);
  bytes_ += content.value ? content.value->size() : 0;
  if (auto decoded = decode(content)) {
    r.event = std::move(decoded->event);
    r.event->partition = partition;
    r.event->offset = r.offset;
    r.event->origin = std::move(decoded->origin);
  } else {
    foreign_warnings_.say(fmt::format("{} [{}] offset {} is no event and is skipped: {}", m.topic(),
                                      m.partition(), m.offset(), decoded.error()));
  }
  last_[partition] = std::move(m);
}

bool tail::take(message m) {
  if (m.topic().empty()) {
    say(4, "the ledger's consumer: " + m.why().message);
    return true;
  }
  const auto partition = partition_of(m);
  if (!partition)
    return true;
  if (m.is_record()) {
    heard_ = true;
    take_record(*partition, std::move(m));
    return true;
  }
  if (m.is_end()) {
    heard_ = true;
    ends_[*partition] = m.offset();
    return true;
  }
  if (m.is_out_of_range()) {
    lost_ = true;
    why_ = fmt::format("{} [{}] does not have offset {}, which comes next: records were deleted or"
                       " the topic was made anew",
                       m.topic(), m.partition(), next_[*partition].load());
    return false;
  }
  complained_ = true;
  say(4, fmt::format("{} [{}] is not read: {}", m.topic(), m.partition(), m.why().message));
  return true;
}

tail::outcome tail::step(milliseconds wait) {
  if (unfinished_)
    return finish_batch();
  batch_.clear();
  read_.clear();
  last_.clear();
  ends_.clear();
  bytes_ = 0;
  for (auto m = consumer_->poll(wait); m; m = consumer_->poll(milliseconds{0}))
    if (!take(std::move(m)) || batch_.size() >= most_records || bytes_ >= most_bytes)
      break;
  if (batch_.empty() && !lost_) {
    for (const auto& [partition, end] : ends_)
      next_[partition] = std::max(next_[partition].load(), end);
    return ends_.empty() ? outcome::idle : outcome::read;
  }
  if (lost_)
    return outcome::lost;
  for (const auto& [partition, m] : last_)
    read_.push_back({partition, {m.offset() + 1, m.offset(), hash_of(m.content(headers_))}});
  last_.clear();
  if (!replica_.judge(batch_)) {
    why_ = "the replica cannot be read: " + replica_.last_error().message;
    return outcome::broken;
  }
  unfinished_ = true;
  return finish_batch();
}

tail::outcome tail::finish_batch() {
  if (!replica_.store(batch_, read_)) {
    why_ = "the replica cannot be written: " + replica_.last_error().message;
    return heals(replica_.last_error()) ? outcome::waiting : outcome::broken;
  }
  unfinished_ = false;
  replica_.publish(batch_);
  for (const auto& [partition, at] : read_)
    next_[partition] = at.next;
  for (const auto& [partition, end] : ends_)
    next_[partition] = std::max(next_[partition].load(), end);
  count_batch();
  return outcome::read;
}

void tail::count_batch() {
  for (const auto& r : batch_)
    if (r.event)
      counts_[static_cast<std::size_t>(r.outcome)].fetch_add(1, std::memory_order_relaxed);
    else
      foreign_.fetch_add(1, std::memory_order_relaxed);
}

bool tail::reached(const std::vector<std::int64_t>& ends) const {
  for (std::size_t p = 0; p < ends.size(); ++p)
    if (next_[p].load(std::memory_order_acquire) < ends[p])
      return false;
  return true;
}

std::vector<remembered_record> tail::remembered() const {
  std::vector<remembered_record> out;
  for (std::uint32_t p = 0; p < names_.size(); ++p)
    if (const auto at = replica_.position(p); at.last >= 0)
      out.push_back({names_[p], at.last, at.last_hash});
  return out;
}

std::uint64_t tail::lag() const {
  std::uint64_t out = 0;
  for (std::uint32_t p = 0; p < names_.size(); ++p)
    if (const auto end = consumer_->heard_end(names_[p]); end > next_[p])
      out += static_cast<std::uint64_t>(end - next_[p]);
  return out;
}

} // namespace runledger::kafka
