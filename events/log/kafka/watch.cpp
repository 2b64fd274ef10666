#include "events/log/kafka/watch.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;
/// A broker that took over shows all of its records when the others have them too, or are out of
/// the in-sync replicas (replica.lag.time.max.ms).
constexpr std::chrono::seconds show_all_within{45};

std::string text_of(const raw_partition& p) {
  return fmt::format("{} [{}]", p.topic, p.partition);
}

void update_with_size(sha256_hasher& hasher, std::optional<std::string_view> text) {
  hasher.update(text ? std::to_string(text->size()) + ':' : std::string{"-:"});
  if (text)
    hasher.update(*text);
}

milliseconds time_left(std::chrono::steady_clock::time_point end) {
  return std::max(std::chrono::duration_cast<milliseconds>(end - std::chrono::steady_clock::now()),
                  milliseconds{0});
}

} // namespace

digest hash_of(const record_view& r) {
  sha256_hasher hasher;
  update_with_size(hasher, r.key);
  for (const auto& h : r.headers) {
    update_with_size(hasher, h.name);
    update_with_size(hasher, h.value);
  }
  update_with_size(hasher, r.value);
  return hasher.finish();
}

result<comparison, error>
compare(const cluster& with, const std::vector<remembered_record>& records, milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  comparison out;
  if (records.empty())
    return out;
  auto reader = consumer::open(with);
  if (!reader)
    return reader.error();
  std::vector<consumer::place> places;
  for (const auto& r : records)
    places.push_back({r.where, r.offset});
  if (auto assigned = (*reader)->assign(places); !assigned)
    return assigned.error();
  auto missing = records;
  std::vector<header_view> headers;
  error last{0, false, "no answer in time"};
  while (!missing.empty() && time_left(end) > milliseconds{0}) {
    const auto m = (*reader)->poll(time_left(end));
    if (!m)
      continue;
    const auto at = std::ranges::find_if(missing, [&](const remembered_record& r) {
      return r.where.topic == m.topic() && r.where.partition == m.partition();
    });
    if (at == missing.end())
      continue;
    if (m.is_out_of_range() || m.is_end()) {
      (m.is_end() ? out.shorter : out.differs) = fmt::format(
          "{} ends before offset {}, which was read from it", text_of(at->where), at->offset);
      if (out.differs)
        return out;
      continue;
    }
    if (!m.is_record()) {
      last = m.why();
      continue;
    }
    if (m.offset() != at->offset || hash_of(m.content(headers)) != at->hash) {
      out.differs = fmt::format("{} has another record at offset {} than was read from it",
                                text_of(at->where), at->offset);
      return out;
    }
    missing.erase(at);
  }
  if (missing.empty())
    return comparison{};
  if (out.shorter)
    return out;
  last.message = fmt::format("{} at offset {}: {}", text_of(missing.front().where),
                             missing.front().offset, last.message);
  return last;
}

watch::watch(options with)
    : options_(std::move(with)),
      beat_(std::clamp(options_.session_timeout / 6, milliseconds{50}, milliseconds{1000})),
      last_contact_(clock::now().time_since_epoch().count()),
      compared_(clock::now()),
      thread_([this] { run(); }) {}

watch::~watch() {
  {
    std::lock_guard guard{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
  for (auto& each : reading_)
    asking_.insert(asking_.end(), each.waiting.begin(), each.waiting.end());
  for (const auto& done : asking_)
    done(false);
}

void watch::note_contact() {
  last_contact_.store(clock::now().time_since_epoch().count(), std::memory_order_relaxed);
}

milliseconds watch::contact() const {
  const clock::time_point last{clock::duration{last_contact_.load(std::memory_order_relaxed)}};
  return std::max(std::chrono::duration_cast<milliseconds>(clock::now() - last), milliseconds{0});
}

void watch::barrier(std::function<void(bool)> done) {
  {
    std::lock_guard guard{mutex_};
    asking_.push_back(std::move(done));
  }
  changed_.notify_all();
}

void watch::run() {
  std::unique_lock lock{mutex_};
  while (!stopping_) {
    lock.unlock();
    look_at_brokers();
    compare_if_due();
    check_barriers();
    lock.lock();
    const auto next = clock::now() + beat_;
    while (!stopping_ && clock::now() < next) {
      changed_.wait_until(lock, next, [&] { return stopping_ || !asking_.empty(); });
      if (stopping_ || asking_.empty())
        break;
      lock.unlock();
      serve_barriers();
      lock.lock();
    }
  }
}

/// One question for all that wait now; who comes meanwhile waits for the next.
void watch::serve_barriers() {
  round mine;
  mine.deadline = clock::now() + options_.barrier_timeout;
  {
    std::lock_guard guard{mutex_};
    mine.waiting.swap(asking_);
  }
  rounds_.fetch_add(1, std::memory_order_relaxed);
  auto ends = options_.ask.ends(options_.partitions, options_.session_timeout);
  if (!ends) {
    for (const auto& done : mine.waiting)
      done(false);
    return;
  }
  note_contact();
  mine.ends = *std::move(ends);
  {
    std::lock_guard guard{mutex_};
    reading_.push_back(std::move(mine));
  }
  check_barriers();
}

void watch::check_barriers() {
  std::vector<std::pair<std::function<void(bool)>, bool>> over;
  const auto now = clock::now();
  {
    std::lock_guard guard{mutex_};
    std::erase_if(reading_, [&](round& r) {
      const bool reached = options_.reached(r.ends);
      if (!reached && now < r.deadline)
        return false;
      for (auto& done : r.waiting)
        over.emplace_back(std::move(done), reached);
      return true;
    });
  }
  for (const auto& [done, reached] : over)
    done(reached);
}

void watch::look_at_brokers() {
  const auto info = options_.ask.describe_used(options_.session_timeout / 2);
  if (!info)
    return gone_.unknown();
  note_contact();
  std::vector<std::int32_t> leaders;
  for (const auto& p : options_.partitions) {
    const auto* topic = info->find(p.topic);
    const auto n = static_cast<std::size_t>(p.partition);
    if (topic != nullptr && n < topic->partitions.size())
      leaders.push_back(topic->partitions[n].leader);
  }
  if (leaders.size() == options_.partitions.size())
    gone_.gone();
  else if (gone_.seen(clock::now()) > options_.session_timeout && !lost_) {
    lost_ = true;
    options_.on_lost("the ledger's topics are not there any more");
  }
  if (!leaders_.empty() && leaders != leaders_)
    suspected_ = true;
  leaders_ = std::move(leaders);
}

/// A broker that took over may have fewer records, or others.
void watch::compare_if_due() {
  const bool suspected = suspected_.exchange(false);
  if (lost_ || (!suspected && clock::now() - compared_ < options_.compare_interval))
    return;
  compared_ = clock::now();
  auto differs = compare(options_.with, options_.remembered(), options_.session_timeout / 2);
  if (!differs) {
    shorter_.unknown();
    if (suspected)
      suspected_ = true; // Again with the next beat: the new leader is not ready.
    return;
  }
  note_contact();
  if (!differs->shorter)
    shorter_.gone();
  else
    suspected_ = true;
  const auto short_for = differs->shorter ? shorter_.seen(clock::now()) : clock::duration{};
  if (!differs->differs && short_for < show_all_within)
    return;
  lost_ = true;
  options_.on_lost(differs->differs ? *differs->differs : *differs->shorter);
}

} // namespace runledger::kafka
