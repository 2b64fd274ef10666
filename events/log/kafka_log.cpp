#include "events/log/kafka_log.hpp"

#include "events/log/append_and_wait.hpp"
#include "events/log/kafka/append_book.hpp"
#include "events/log/kafka/tail.hpp"
#include "events/log/kafka/watch.hpp"
#include "events/log/kafka_record.hpp"
#include "events/log/replica.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <fmt/format.h>
#include <mutex>
#include <thread>

namespace runledger {

namespace {

using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

/// How long the reading thread waits for a record before it looks at what else is due.
constexpr milliseconds read_wait{50};
/// Where the replica cannot be written it is tried again after so long.
constexpr milliseconds write_again{200};

std::vector<kafka::raw_partition> raw_names(const std::string& prefix,
                                            const std::vector<topic_partition>& names) {
  std::vector<kafka::raw_partition> out;
  for (const auto& name : names)
    out.push_back({prefix + '.' + name.topic, static_cast<std::int32_t>(name.number)});
  return out;
}

void* tag_of(std::uint64_t id) {
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(id));
}

} // namespace

/// Everything behind the port.
struct kafka_log::parts {
  explicit parts(kafka_log_options with) : options(std::move(with)), writer(options.mode) {}
  ~parts();

  result<void, std::string> start();
  result<void, std::string> open_replica(const std::string& cluster_id);
  result<bool, std::string> replica_fits();
  result<void, std::string> catch_up();
  result<void, std::string> catch_up_step(clock::time_point& silent_since);
  void follow();
  void react(kafka::tail::outcome what);
  void resolve_batch();
  void tend_producer();
  result<void, kafka::error> start_producer();
  void retire_producer(const kafka::error& why);
  void ask_for_renewal();
  void append(std::vector<append_request> group, completion done);
  std::optional<std::string> refusal() const;
  void send(const std::vector<kafka::append_book::outgoing>& events);
  void tell(kafka::append_book::finished& what) const;
  void fail(const std::string& why);
  void lose(const std::string& why);
  std::optional<std::string> failed() const;
  void say(int level, const std::string& line) const;
  bool pause(milliseconds time);

  const kafka_log_options options;
  std::vector<topic_partition> names;
  std::optional<std::string> made_anew;
  std::unique_ptr<replica> copy;
  std::unique_ptr<kafka::tail> tail;
  std::unique_ptr<kafka::append_book> book;
  std::unique_ptr<kafka::watch> watch;

  std::mutex producer_mutex; ///< Held while something is sent; the reading thread swaps.
  std::unique_ptr<kafka::producer> producer;
  std::atomic<bool> has_producer{false};
  bool renewing = false; ///< The reading thread's: it waits for the end before the next producer.
  std::atomic<bool> renewal_ready{false}, renewal_late{false};
  std::atomic<std::uint64_t> producers{0}, unavailable{0};
  kafka::record_writer writer; ///< The appending thread's.

  std::mutex listener_mutex; ///< Held during the call: who takes a listener away may destroy it.
  std::function<void()> listener;

  mutable std::mutex state_mutex; ///< Guards what follows.
  std::condition_variable stopped;
  std::optional<std::string> failure;
  bool stopping = false;
  std::thread reader;
};

kafka_log::parts::~parts() {
  {
    std::lock_guard guard{state_mutex};
    stopping = true;
  }
  stopped.notify_all();
  if (reader.joinable())
    reader.join();
  watch.reset();
  producer.reset();
  if (book) {
    kafka::append_book::finished told;
    book->end_all("the ledger is closed", told);
    tell(told);
  }
}

void kafka_log::parts::say(int level, const std::string& line) const {
  if (options.log)
    options.log(level, line);
}

/// False: the log is being closed.
bool kafka_log::parts::pause(milliseconds time) {
  std::unique_lock lock{state_mutex};
  return !stopped.wait_for(lock, time, [&] { return stopping; });
}

std::optional<std::string> kafka_log::parts::failed() const {
  std::lock_guard guard{state_mutex};
  return failure;
}

void kafka_log::parts::fail(const std::string& why) {
  {
    std::lock_guard guard{state_mutex};
    if (failure)
      return;
    failure = why;
  }
  say(2, why);
}

/// The topics are not what was read from them.
void kafka_log::parts::lose(const std::string& why) {
  copy->distrust(why);
  fail("the ledger's topics lost records: " + why
       + "; at the next start this node reads them anew");
}

// Start.

result<void, std::string> kafka_log::parts::start() {
  names = name_partitions(options.topics);
  auto asker = kafka::consumer::open(options.cluster);
  if (!asker)
    return asker.error().message;
  auto id = (*asker)->cluster_id(options.patience);
  if (!id)
    return fmt::format("no Kafka broker answers at {}: {}", options.cluster.brokers,
                       id.error().message);
  asker->reset();
  if (auto opened = open_replica(*id); !opened)
    return opened;
  book =
      std::make_unique<kafka::append_book>(*copy, options.append_timeout, options.most_in_flight);
  if (auto read = catch_up(); !read)
    return read;
  if (options.read_only)
    return {};
  if (auto started = start_producer(); !started)
    return "the ledger cannot be written: " + started.error().message;
  watch = std::make_unique<kafka::watch>(kafka::watch::options{
      options.cluster, tail->client(), tail->names(), options.session_timeout,
      options.compare_interval, [this] { return tail->remembered(); },
      [this](const std::vector<std::int64_t>& ends) { return tail->reached(ends); },
      [this](const std::string& why) { lose(why); }, options.log, options.append_timeout});
  reader = std::thread{[this] { follow(); }};
  return {};
}

/// Opens the replica, and from nothing where it is not of what the cluster has.
result<void, std::string> kafka_log::parts::open_replica(const std::string& cluster_id) {
  replica_options with;
  with.path = options.replica_file;
  with.source = fmt::format("kafka cluster {} topics {}.*", cluster_id, options.prefix);
  with.names = names;
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto opened = replica::open(with);
    if (!opened)
      return opened.error();
    copy = *std::move(opened);
    if (copy->made_anew() && !made_anew)
      made_anew = copy->made_anew();
    tail = std::make_unique<kafka::tail>(options.cluster, *copy, raw_names(options.prefix, names),
                                         options.log);
    auto fits = replica_fits();
    if (!fits)
      return fits.error();
    if (*fits)
      break;
    tail.reset();
    copy.reset();
  }
  if (made_anew)
    say(4, fmt::format("the replica {} is read anew: {}", options.replica_file, *made_anew));
  return {};
}

result<bool, std::string> kafka_log::parts::replica_fits() {
  auto same = kafka::compare(options.cluster, tail->remembered(), options.patience);
  if (!same)
    return "the replica cannot be compared with the topics: " + same.error().message;
  const auto& why = same->differs ? same->differs : same->shorter;
  if (!why)
    return true;
  made_anew = why;
  copy->distrust(*why);
  return false;
}

/// Reads what is before the ends as they are now.
result<void, std::string> kafka_log::parts::catch_up() {
  if (auto started = tail->start(); !started)
    return "the ledger cannot be read: " + started.error().message;
  auto ends = tail->client().ends(tail->names(), options.patience);
  if (!ends)
    return "the ledger's ends cannot be read: " + ends.error().message;
  auto silent_since = clock::now();
  while (!tail->reached(*ends))
    if (auto good = catch_up_step(silent_since); !good)
      return good;
  return {};
}

result<void, std::string> kafka_log::parts::catch_up_step(clock::time_point& silent_since) {
  switch (tail->step(read_wait)) {
    case kafka::tail::outcome::read:
      silent_since = clock::now();
      return {};
    case kafka::tail::outcome::waiting:
      (void)pause(write_again);
      [[fallthrough]];
    case kafka::tail::outcome::idle:
      if (clock::now() - silent_since < options.patience)
        return {};
      return std::string{"the ledger cannot be read to its end: "
                         + (tail->why().empty() ? "no more records come" : tail->why())};
    case kafka::tail::outcome::lost:
      copy->distrust(tail->why());
      return "the ledger is not whole: " + tail->why();
    case kafka::tail::outcome::broken:
      copy->distrust(tail->why());
      return tail->why();
  }
  return {};
}

// The reading thread.

void kafka_log::parts::follow() {
  auto wait = read_wait;
  while (pause(milliseconds{0})) {
    const auto what = failed() ? kafka::tail::outcome::waiting : tail->step(wait);
    react(what);
    tend_producer();
    kafka::append_book::finished told;
    book->expire(clock::now(), told);
    tell(told);
    if (what == kafka::tail::outcome::waiting)
      (void)pause(write_again);
  }
}

void kafka_log::parts::react(kafka::tail::outcome what) {
  if (tail->take_contact())
    watch->note_contact();
  if (tail->take_complaint())
    watch->suspect();
  switch (what) {
    case kafka::tail::outcome::idle:
      return watch->check_barriers();
    case kafka::tail::outcome::read:
      resolve_batch();
      return watch->check_barriers();
    case kafka::tail::outcome::waiting:
      return;
    case kafka::tail::outcome::lost:
      return lose(tail->why());
    case kafka::tail::outcome::broken:
      copy->distrust(tail->why());
      return fail(tail->why());
  }
}

/// What was read is shown to readers by now: the listener hears of it, then the callers.
void kafka_log::parts::resolve_batch() {
  bool news = false;
  kafka::append_book::finished told;
  for (const auto& r : tail->batch()) {
    if (!r.event)
      continue;
    news = news || r.outcome == verdict::accepted;
    auto v = r.outcome;
    if ((v == verdict::stale_seq || v == verdict::duplicate) && book->waits_for(*r.event))
      v = copy->compare_stored(*r.event);
    book->read_back(*r.event, v, told);
  }
  if (news) {
    std::lock_guard guard{listener_mutex};
    if (listener)
      listener();
  }
  tell(told);
}

void kafka_log::parts::tell(kafka::append_book::finished& what) const {
  for (auto& each : what)
    if (each.done)
      each.done(std::move(each.results));
}

// The producer.

result<void, kafka::error> kafka_log::parts::start_producer() {
  auto made = kafka::producer::open(
      options.cluster, [this](void* tag, bool perhaps, const kafka::error& why) {
        kafka::append_book::finished told;
        book->not_written(reinterpret_cast<std::uintptr_t>(tag), perhaps,
                          why.name() + ": " + why.message, told);
        tell(told);
      });
  if (!made)
    return made.error();
  std::vector<std::string> topics;
  for (const auto& each : options.topics)
    topics.push_back(options.prefix + '.' + each.topic);
  (*made)->prepare(topics, options.session_timeout);
  std::lock_guard guard{producer_mutex};
  producer = *std::move(made);
  has_producer = true;
  ++producers;
  return {};
}

/// What it had not written is reported by its end.
void kafka_log::parts::retire_producer(const kafka::error& why) {
  say(4, "the producer is of no use any more and is replaced: " + why.message);
  std::unique_ptr<kafka::producer> gone;
  {
    std::lock_guard guard{producer_mutex};
    has_producer = false;
    gone = std::move(producer);
  }
  gone.reset();
  renewing = true;
  ask_for_renewal();
}

void kafka_log::parts::ask_for_renewal() {
  renewal_ready = renewal_late = false;
  watch->barrier([this](bool read) { (read ? renewal_ready : renewal_late) = true; });
}

/// A producer that failed is replaced after everything was read that it may have written.
void kafka_log::parts::tend_producer() {
  if (has_producer) {
    producer->poll(milliseconds{0});
    if (auto why = producer->fatal())
      retire_producer(*why);
    return;
  }
  if (renewing && renewal_late)
    ask_for_renewal();
  if (!renewing || !renewal_ready || failed())
    return;
  renewing = false;
  kafka::append_book::finished told; // What is to be read of the old one's was read by now.
  book->end_all("the producer was replaced before the event was read back", told);
  tell(told);
  if (auto started = start_producer(); !started)
    fail("the ledger cannot be written: " + started.error().message);
}

std::optional<std::string> kafka_log::parts::refusal() const {
  if (options.read_only)
    return "opened for reading";
  if (auto why = failed())
    return why;
  if (const auto silent = watch->contact(); silent >= options.session_timeout)
    return fmt::format("no Kafka broker has answered for {} ms", silent.count());
  if (!has_producer)
    return "the producer is being replaced";
  return std::nullopt;
}

void kafka_log::parts::append(std::vector<append_request> group, completion done) {
  if (auto why = refusal()) {
    unavailable += group.size();
    return done(alike(group.size(), append_outcome::unavailable, *why));
  }
  kafka::append_book::finished told;
  const auto to_send = book->take(std::move(group), std::move(done), clock::now(), told);
  send(to_send);
  tell(told);
}

/// Behind an event that could not be handed over the rest of its request is not.
void kafka_log::parts::send(const std::vector<kafka::append_book::outgoing>& events) {
  kafka::append_book::finished told;
  std::uint64_t broken_request = 0;
  std::string why;
  {
    std::lock_guard guard{producer_mutex};
    for (const auto& each : events) {
      if (each.request != broken_request) {
        auto sent = producer ? producer->send(tail->names()[each.event->partition],
                                              writer.write(*each.event, each.event->origin),
                                              tag_of(each.id))
                             : kafka::error{0, false, "the producer is being replaced"};
        if (sent)
          continue;
        broken_request = each.request;
        why = sent.error().message;
        ++unavailable;
      }
      book->not_written(each.id, false, why, told);
    }
  }
  tell(told);
}

// The port.

kafka_log::kafka_log(kafka_log_options options)
    : session_timeout_(options.session_timeout),
      parts_(std::make_unique<parts>(std::move(options))) {}

kafka_log::~kafka_log() = default;

result<std::unique_ptr<kafka_log>, std::string> kafka_log::open(kafka_log_options options) {
  std::unique_ptr<kafka_log> log{new kafka_log{std::move(options)}};
  if (auto started = log->parts_->start(); !started)
    return started.error();
  return log;
}

void kafka_log::append(std::vector<append_request> group, completion done) {
  parts_->append(std::move(group), std::move(done));
}

result<std::vector<record_ptr>, read_error>
kafka_log::read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const {
  return parts_->copy->read_stream(stream, from_seq, limit);
}

result<std::vector<record_ptr>, read_error> kafka_log::read_partition(std::uint32_t partition,
                                                                      std::int64_t from_offset,
                                                                      std::size_t limit) const {
  return parts_->copy->read_partition(partition, from_offset, limit);
}

result<std::optional<stream_head>, read_error> kafka_log::head(const stream_id& stream) const {
  return parts_->copy->head(stream);
}

std::span<const topic_partition> kafka_log::partition_names() const {
  return parts_->names;
}

partition_head kafka_log::partition_state(std::uint32_t partition) const {
  return parts_->copy->partition_state(partition);
}

std::int64_t kafka_log::end_offset(std::uint32_t partition) const {
  return parts_->copy->end_offset(partition);
}

void kafka_log::on_append(std::function<void()> listener) {
  std::lock_guard guard{parts_->listener_mutex};
  parts_->listener = std::move(listener);
}

result<std::vector<unfinished_stream>, read_error>
kafka_log::unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const {
  return parts_->copy->unfinished(partition, after, limit);
}

std::optional<std::string> kafka_log::failed() const {
  return parts_->failed();
}

void kafka_log::barrier(std::function<void(bool)> done) {
  if (parts_->watch)
    return parts_->watch->barrier(std::move(done));
  done(false);
}

std::chrono::milliseconds kafka_log::contact() const {
  return parts_->watch ? parts_->watch->contact() : milliseconds{0};
}

const std::optional<std::string>& kafka_log::made_anew() const {
  return parts_->made_anew;
}

kafka_log_figures kafka_log::figures() const {
  kafka_log_figures out;
  for (std::size_t v = 0; v < out.records.size(); ++v)
    out.records[v] = parts_->tail->count(static_cast<verdict>(v));
  out.foreign = parts_->tail->foreign();
  out.lag = parts_->tail->lag();
  out.in_flight = parts_->book->in_flight();
  out.unknown = parts_->book->unknown();
  out.unavailable = parts_->unavailable;
  out.producers = parts_->producers;
  out.barriers = parts_->watch ? parts_->watch->rounds() : 0;
  return out;
}

} // namespace runledger
