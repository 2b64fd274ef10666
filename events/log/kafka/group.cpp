#include "events/log/kafka/group.hpp"

#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <fmt/format.h>
#include <iterator>
#include <mutex>
#include <thread>
#include <utility>

namespace runledger::kafka {

namespace {

using std::chrono::milliseconds;
constexpr milliseconds beat{50};
constexpr milliseconds look_interval{1000};
constexpr milliseconds least_look_interval{100};
constexpr milliseconds look_timeout{2000};
constexpr milliseconds close_timeout{5000};
constexpr milliseconds least_close_timeout{500};

/// Big-endian numbers and texts from bytes that anybody may have written.
class protocol_reader {
public:
  explicit protocol_reader(std::string_view bytes) : left_(bytes) {}
  template <class Number>
  std::optional<Number> number() {
    if (left_.size() < sizeof(Number))
      return std::nullopt;
    std::uint32_t out = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i)
      out = out << 8 | static_cast<unsigned char>(left_[i]);
    left_.remove_prefix(sizeof(Number));
    return static_cast<Number>(out);
  }
  std::optional<std::string> text() {
    const auto size = number<std::int16_t>();
    if (!size || *size < 0 || left_.size() < static_cast<std::size_t>(*size))
      return std::nullopt;
    std::string out{left_.substr(0, static_cast<std::size_t>(*size))};
    left_.remove_prefix(out.size());
    return out;
  }
  /// How many follow, of at least `least` bytes each.
  std::optional<std::size_t> count(std::size_t least) {
    const auto n = number<std::int32_t>();
    if (!n || *n < 0 || static_cast<std::size_t>(*n) > left_.size() / least)
      return std::nullopt;
    return static_cast<std::size_t>(*n);
  }

private:
  std::string_view left_;
};

struct partitions_destroyer {
  void operator()(rd_kafka_topic_partition_list_t* raw) const {
    rd_kafka_topic_partition_list_destroy(raw);
  }
};
using partitions_ptr = std::unique_ptr<rd_kafka_topic_partition_list_t, partitions_destroyer>;

std::vector<raw_partition> from_list(const rd_kafka_topic_partition_list_t* list) {
  std::vector<raw_partition> out;
  for (int i = 0; list != nullptr && i < list->cnt; ++i)
    out.push_back({list->elems[i].topic, list->elems[i].partition});
  return out;
}

/// Nothing of them is read; where reading would begin does not matter.
partitions_ptr to_list(const std::vector<raw_partition>& partitions) {
  partitions_ptr out{rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size()))};
  for (const auto& p : partitions)
    rd_kafka_topic_partition_list_add(out.get(), p.topic.c_str(), p.partition)->offset =
        RD_KAFKA_OFFSET_END;
  return out;
}

std::string_view bytes_of_member(const void* bytes, int size) {
  return bytes != nullptr && size > 0
             ? std::string_view{static_cast<const char*>(bytes), static_cast<std::size_t>(size)}
             : std::string_view{};
}

/// While members come and go the coordinator does not say who has what: what a member had stands.
group_view view_of_group(const rd_kafka_group_info& info, const group_view& before) {
  group_view out;
  out.settled = std::strcmp(info.state, "Stable") == 0;
  for (int i = 0; i < info.member_cnt; ++i) {
    const auto& m = info.members[i];
    group_member one{m.member_id, m.client_id, {}};
    if (out.settled) {
      one.holds = read_assignment(bytes_of_member(m.member_assignment, m.member_assignment_size))
                      .value_or(std::vector<raw_partition>{});
    } else if (const auto known = std::ranges::find(before.members, one.id, &group_member::id);
               known != before.members.end()) {
      one.holds = known->holds;
    }
    out.members.push_back(std::move(one));
  }
  return out;
}

} // namespace

std::optional<std::vector<raw_partition>> read_assignment(std::string_view bytes) {
  std::vector<raw_partition> out;
  if (bytes.empty()) // Of a member that was given nothing yet.
    return out;
  protocol_reader from{bytes};
  const auto version = from.number<std::int16_t>();
  if (!version || *version < 0)
    return std::nullopt;
  const auto topics = from.count(sizeof(std::int16_t) + sizeof(std::int32_t));
  if (!topics)
    return std::nullopt;
  for (std::size_t t = 0; t < *topics; ++t) {
    const auto topic = from.text();
    const auto partitions = from.count(sizeof(std::int32_t));
    if (!topic || !partitions)
      return std::nullopt;
    for (std::size_t p = 0; p < *partitions; ++p) {
      const auto number = from.number<std::int32_t>();
      if (!number || *number < 0)
        return std::nullopt;
      out.push_back({*topic, *number});
    }
  }
  return out;
}

const group_member* group_view::holder_of(const raw_partition& which) const {
  for (const auto& each : members)
    if (std::ranges::find(each.holds, which) != each.holds.end())
      return &each;
  return nullptr;
}

/// The instance of librdkafka and its two threads.
class group::member final : public client {
public:
  enum class wish : std::uint8_t { stay, leave, vanish };

  explicit member(options with) : options_(std::move(with)) {}
  ~member() { end(wish::vanish); }

  result<void, error> join();
  void end(wish how, std::chrono::steady_clock::time_point until = {});
  /// librdkafka 2.0.2 ends the process where an instance goes that has been let into a group and
  /// was not told its share yet, and may wait for ever for one that is told its share while it
  /// closes.
  bool may_be_destroyed() const { return told_ && closed_; }

  bool joined() const { return joined_; }
  std::shared_ptr<const group_view> view() const;
  void suspect();
  std::uint64_t looks() const { return looks_; }
  std::uint64_t rebalances() const { return rebalances_; }

private:
  using list = rd_kafka_topic_partition_list_t;
  /// Revoked, and not let go of yet. `done` outlives this object where somebody keeps it.
  struct going {
    std::vector<raw_partition> what;
    std::shared_ptr<std::atomic<bool>> done = std::make_shared<std::atomic<bool>>(false);
  };

  void configure(rd_kafka_conf_s* conf) override;
  static void rebalance(rd_kafka_t* raw, rd_kafka_resp_err_t code, list* what, void* self);
  void run();
  void poll_once();
  void take_in(const list* what);
  void give_back(std::vector<raw_partition> what);
  void let_go(const std::vector<raw_partition>& what);
  void serve_going();
  void give_all_back();
  void await_share();
  void close();
  void watch();
  void look();
  void complain(rd_kafka_error_t* failed) const;
  void say(int level, const std::string& line) const;

  const options options_;
  std::atomic<bool> joined_{false}, told_{false}, closed_{false};
  std::atomic<std::uint64_t> rebalances_{0}, looks_{0};

  // The thread's own.
  std::vector<raw_partition> mine_;
  std::vector<going> going_;
  std::shared_ptr<std::atomic<bool>> leaving_; // True: all was let go of; none: it stays.
  bool closing_ = false;
  std::chrono::steady_clock::time_point end_by_{}; // Once it leaves.
  std::string complaint_; // The last one, so that it is not repeated with each poll.

  mutable std::mutex mutex_; // Guards what follows.
  std::condition_variable changed_;
  wish wish_ = wish::stay;
  std::chrono::steady_clock::time_point until_{}; // Of leaving.
  bool suspected_ = false;
  std::shared_ptr<const group_view> view_ = std::make_shared<group_view>();
  std::thread thread_, watcher_;
};

group::group(std::unique_ptr<member> made) : member_(std::move(made)) {}

group::~group() {
  stop();
  if (!member_->may_be_destroyed())
    (void)member_.release();
}

void group::leave(std::chrono::steady_clock::time_point until) {
  member_->end(member::wish::leave, until);
}
void group::stop() {
  member_->end(member::wish::vanish);
}
bool group::joined() const {
  return member_->joined();
}
std::shared_ptr<const group_view> group::view() const {
  return member_->view();
}
void group::suspect() {
  member_->suspect();
}
std::uint64_t group::looks() const {
  return member_->looks();
}
std::uint64_t group::rebalances() const {
  return member_->rebalances();
}

result<std::unique_ptr<group>, error> group::open(options with) {
  with.with.properties.erase("client.id"); // It tells the others where this one is.
  auto made = std::make_unique<member>(std::move(with));
  if (auto joining = made->join(); !joining)
    return joining.error();
  return std::unique_ptr<group>{new group{std::move(made)}};
}

result<void, error> group::member::join() {
  const auto session = options_.session_timeout;
  const auto heartbeat = std::clamp(session / 10, milliseconds{100}, milliseconds{500});
  auto started = start(kind::consumer, options_.with,
                       {{"client.id", options_.client},
                        {"group.id", options_.name},
                        {"partition.assignment.strategy", "cooperative-sticky"},
                        {"session.timeout.ms", std::to_string(session.count())},
                        {"heartbeat.interval.ms", std::to_string(heartbeat.count())},
                        {"enable.auto.commit", "false"},
                        {"enable.auto.offset.store", "false"},
                        {"auto.offset.reset", "latest"}});
  if (!started)
    return started.error();
  rd_kafka_poll_set_consumer(raw());
  partitions_ptr topics{rd_kafka_topic_partition_list_new(4)};
  for (const auto& topic : options_.topics)
    rd_kafka_topic_partition_list_add(topics.get(), topic.c_str(), RD_KAFKA_PARTITION_UA);
  if (auto code = rd_kafka_subscribe(raw(), topics.get()); code != RD_KAFKA_RESP_ERR_NO_ERROR)
    return error{code, false, rd_kafka_err2str(code)};
  thread_ = std::thread{[this] { run(); }};
  watcher_ = std::thread{[this] { watch(); }};
  return {};
}

void group::member::configure(rd_kafka_conf_s* conf) {
  rd_kafka_conf_set_rebalance_cb(conf, rebalance);
}

void group::member::end(wish how, std::chrono::steady_clock::time_point until) {
  {
    std::lock_guard guard{mutex_};
    wish_ = how;
    until_ = until;
  }
  changed_.notify_all();
  if (watcher_.joinable())
    watcher_.join();
  if (thread_.joinable())
    thread_.join();
}

void group::member::complain(rd_kafka_error_t* failed) const {
  if (failed == nullptr)
    return;
  say(3, fmt::format("the group {}: {}", options_.name, rd_kafka_error_string(failed)));
  rd_kafka_error_destroy(failed);
}

void group::member::say(int level, const std::string& line) const {
  if (options_.log)
    options_.log(level, line);
}

// -- the member's thread -----------------------------------------------------------------------

void group::member::run() {
  auto wished = [this] {
    std::lock_guard guard{mutex_};
    return wish_;
  };
  while (wished() == wish::stay) {
    poll_once();
    serve_going();
  }
  const bool leaves = wished() == wish::leave;
  const auto now = std::chrono::steady_clock::now();
  {
    std::lock_guard guard{mutex_};
    end_by_ = leaves ? until_ : now + options_.session_timeout;
  }
  if (leaves)
    give_all_back();
  await_share();
  close();
  joined_ = false;
}

/// Revokes what is left, on this thread.
void group::member::close() {
  closing_ = true;
  auto* queue = rd_kafka_queue_new(raw());
  complain(rd_kafka_consumer_close_queue(raw(), queue));
  const auto now = std::chrono::steady_clock::now();
  const auto until = std::min(now + close_timeout, std::max(end_by_, now + least_close_timeout));
  while (rd_kafka_consumer_closed(raw()) == 0 && std::chrono::steady_clock::now() < until)
    rd_kafka_queue_poll_callback(queue, static_cast<int>(beat.count()));
  closed_ = rd_kafka_consumer_closed(raw()) != 0;
  if (!closed_)
    say(4, fmt::format("the group {} was left without a word", options_.name));
  rd_kafka_queue_destroy(queue);
}

/// Who asked to be let in hears of its share soon, if brokers are there.
void group::member::await_share() {
  leaving_ = leaving_ ? leaving_ : std::make_shared<std::atomic<bool>>(true);
  while (!told_ && std::chrono::steady_clock::now() < end_by_)
    poll_once();
}

void group::member::poll_once() {
  message got{rd_kafka_consumer_poll(raw(), static_cast<int>(beat.count()))};
  if (!got || got.is_record())
    return;
  auto said = got.why().message;
  if (said == complaint_)
    return;
  complaint_ = std::move(said);
  say(4, fmt::format("the group {}: {}", options_.name, complaint_));
}

void group::member::rebalance(rd_kafka_t* raw, rd_kafka_resp_err_t code, list* what, void* self) {
  auto& me = *static_cast<member*>(static_cast<client*>(self));
  me.complaint_.clear();
  ++me.rebalances_;
  if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
    me.take_in(what);
  else if (me.closing_)
    me.let_go(from_list(what));
  else if (rd_kafka_assignment_lost(raw) != 0) {
    auto gone = from_list(what);
    me.let_go(gone);
    me.joined_ = false;
    if (!me.leaving_)
      me.options_.lost(std::move(gone));
  } else {
    me.give_back(from_list(what));
  }
  me.suspect();
}

void group::member::take_in(const list* what) {
  auto fresh = from_list(what);
  const auto places = to_list(fresh);
  complain(rd_kafka_incremental_assign(raw(), places.get()));
  rd_kafka_pause_partitions(raw(), places.get());
  joined_ = told_ = true;
  mine_.insert(mine_.end(), fresh.begin(), fresh.end());
  if (!closing_ && !leaving_ && !fresh.empty())
    options_.assigned(std::move(fresh));
}

/// The group waits until it is told that they are free.
void group::member::give_back(std::vector<raw_partition> what) {
  if (leaving_) // It was asked for already, or never told of.
    return void(going_.push_back({std::move(what), leaving_}));
  const auto& one = going_.emplace_back(going{what});
  options_.revoked(std::move(what), [done = one.done] { *done = true; });
}

void group::member::let_go(const std::vector<raw_partition>& what) {
  const auto list = to_list(what);
  complain(rd_kafka_incremental_unassign(raw(), list.get()));
  std::erase_if(mine_, [&](const auto& p) { return std::ranges::find(what, p) != what.end(); });
}

void group::member::serve_going() {
  if (going_.empty())
    return;
  const bool late = rd_kafka_assignment_lost(raw()) != 0;
  auto ready = [late](const going& each) { return late || *each.done; };
  std::vector<going> now;
  std::ranges::copy_if(going_, std::back_inserter(now), ready);
  std::erase_if(going_, ready);
  for (auto& each : now) {
    const bool in_time = *each.done;
    let_go(each.what);
    if (in_time)
      continue;
    joined_ = false;
    if (!leaving_)
      options_.lost(std::move(each.what));
  }
  if (!now.empty())
    suspect();
}

void group::member::give_all_back() {
  auto left = mine_;
  for (const auto& each : going_)
    std::erase_if(
        left, [&](const auto& p) { return std::ranges::find(each.what, p) != each.what.end(); });
  leaving_ = std::make_shared<std::atomic<bool>>(left.empty());
  if (!left.empty())
    options_.revoked(std::move(left), [done = leaving_] { *done = true; });
  while ((!*leaving_ || !going_.empty()) && std::chrono::steady_clock::now() < end_by_) {
    poll_once();
    serve_going();
  }
  for (const auto& each : std::exchange(going_, {}))
    let_go(each.what);
}

// -- who is there ------------------------------------------------------------------------------

void group::member::watch() {
  std::unique_lock lock{mutex_};
  auto ending = [this] { return wish_ != wish::stay; };
  while (!ending()) {
    suspected_ = false;
    lock.unlock();
    look();
    lock.lock();
    changed_.wait_for(lock, least_look_interval, ending);
    changed_.wait_for(lock, look_interval, [&] { return ending() || suspected_; });
  }
}

/// A coordinator that does not answer leaves the view as it was.
void group::member::look() {
  const rd_kafka_group_list* found = nullptr;
  const auto code = rd_kafka_list_groups(raw(), options_.name.c_str(), &found,
                                         static_cast<int>(look_timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__PARTIAL)
    return;
  for (int i = 0; i < found->group_cnt; ++i) {
    if (found->groups[i].err != RD_KAFKA_RESP_ERR_NO_ERROR
        || options_.name != found->groups[i].group)
      continue;
    auto now = std::make_shared<group_view>(view_of_group(found->groups[i], *view()));
    std::lock_guard guard{mutex_};
    view_ = std::move(now);
    ++looks_;
  }
  rd_kafka_group_list_destroy(found);
}

std::shared_ptr<const group_view> group::member::view() const {
  std::lock_guard guard{mutex_};
  return view_;
}

void group::member::suspect() {
  {
    std::lock_guard guard{mutex_};
    suspected_ = true;
  }
  changed_.notify_all();
}

} // namespace runledger::kafka
