// Goal: nodes that come, go, die and fall silent share partitions at a real broker: never two that
// hold one, and at each quiet point exactly one that does.

#include "events/log/kafka/group.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_cluster.hpp"
#include "tests/support/server_process.hpp"

#include <librdkafka/rdkafka.h>

#include <map>
#include <random>
#include <set>

namespace runledger::test {

namespace {

using kafka::raw_partition;
using std::chrono::milliseconds;
constexpr milliseconds session{2000};

/// Time enough to leave.
auto soon() {
  return std::chrono::steady_clock::now() + std::chrono::seconds{20};
}

/// Who holds what, as the members were told. Threads: any.
class holdings {
public:
  void take(const std::string& who, const std::vector<raw_partition>& what) {
    std::lock_guard guard{mutex_};
    for (const auto& p : what) {
      holders_[p].insert(who);
      doubled_ = doubled_ || holders_[p].size() > 1;
    }
  }
  void drop(const std::string& who, const std::vector<raw_partition>& what) {
    std::lock_guard guard{mutex_};
    for (const auto& p : what)
      holders_[p].erase(who);
  }
  void forget(const std::string& who) {
    std::lock_guard guard{mutex_};
    for (auto& [p, all] : holders_)
      all.erase(who);
  }
  std::size_t of(const std::string& who) const {
    std::lock_guard guard{mutex_};
    std::size_t out = 0;
    for (const auto& [p, all] : holders_)
      out += all.contains(who) ? 1 : 0;
    return out;
  }
  bool each_has_one(std::size_t partitions) const {
    std::lock_guard guard{mutex_};
    std::size_t held = 0;
    for (const auto& [p, all] : holders_)
      held += all.size() == 1 ? 1 : 0;
    return held == partitions;
  }
  /// Two held one partition at some time.
  bool doubled() const {
    std::lock_guard guard{mutex_};
    return doubled_;
  }
  std::string holder_of(const raw_partition& p) const {
    std::lock_guard guard{mutex_};
    const auto all = holders_.find(p);
    return all != holders_.end() && all->second.size() == 1 ? *all->second.begin() : "";
  }

private:
  mutable std::mutex mutex_;
  std::map<raw_partition, std::set<std::string>> holders_;
  bool doubled_ = false;
};

/// A member of the group that lets go of what is revoked at once, or when it is told to.
class member {
public:
  member(holdings& shared, std::string name, const std::string& brokers, const std::string& prefix)
      : shared_(shared), name_(std::move(name)) {
    kafka::group::options with;
    with.with.brokers = brokers;
    with.name = prefix + ".owners";
    with.client = name_;
    with.topics = {prefix + ".runs", prefix + ".catalog"};
    with.session_timeout = session;
    with.assigned = [this](auto what) { shared_.take(name_, what); };
    with.revoked = [this](auto what, auto done) { revoke(std::move(what), std::move(done)); };
    with.lost = [this](auto what) {
      shared_.drop(name_, what);
      ++losses;
    };
    auto made = kafka::group::open(std::move(with));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    if (made)
      group_ = *std::move(made);
  }
  ~member() {
    group_.reset();
    shared_.forget(name_);
  }

  kafka::group& operator*() { return *group_; }
  kafka::group* operator->() { return group_.get(); }
  void hold_on() { slow_ = true; }
  void let_go() {
    std::vector<std::function<void()>> now;
    {
      std::lock_guard guard{mutex_};
      slow_ = false;
      now.swap(kept_);
    }
    for (const auto& done : now)
      done();
  }
  bool is_asked() const {
    std::lock_guard guard{mutex_};
    return !kept_.empty();
  }
  std::atomic<int> losses{0};

private:
  void revoke(std::vector<raw_partition> what, std::function<void()> done) {
    auto end = [this, what = std::move(what), done = std::move(done)] {
      shared_.drop(name_, what);
      done();
    };
    std::lock_guard guard{mutex_};
    if (slow_)
      kept_.push_back(std::move(end));
    else
      end();
  }

  holdings& shared_;
  const std::string name_;
  std::atomic<bool> slow_{false};
  mutable std::mutex mutex_;
  std::vector<std::function<void()>> kept_;
  std::unique_ptr<kafka::group> group_;
};

/// A member that is not ours, and dies without a word.
class mortal_member {
public:
  explicit mortal_member(const std::string& prefix) {
    auto* conf = rd_kafka_conf_new();
    for (const auto& [name, value] :
         std::map<std::string, std::string>{{"bootstrap.servers", kafka_broker::shared().address()},
                                            {"group.id", prefix + ".owners"},
                                            {"client.id", "mortal"},
                                            {"partition.assignment.strategy", "cooperative-sticky"},
                                            {"session.timeout.ms", std::to_string(session.count())},
                                            {"heartbeat.interval.ms", "500"}})
      rd_kafka_conf_set(conf, name.c_str(), value.c_str(), nullptr, 0);
    raw_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, nullptr, 0);
    rd_kafka_poll_set_consumer(raw_);
    auto* topics = rd_kafka_topic_partition_list_new(2);
    for (const auto* label : {".runs", ".catalog"})
      rd_kafka_topic_partition_list_add(topics, (prefix + label).c_str(), RD_KAFKA_PARTITION_UA);
    rd_kafka_subscribe(raw_, topics);
    rd_kafka_topic_partition_list_destroy(topics);
  }
  ~mortal_member() { die(); }
  std::size_t polled() {
    if (auto* got = rd_kafka_consumer_poll(raw_, 50))
      rd_kafka_message_destroy(got);
    rd_kafka_topic_partition_list_t* mine = nullptr;
    rd_kafka_assignment(raw_, &mine);
    const auto out = static_cast<std::size_t>(mine->cnt);
    rd_kafka_topic_partition_list_destroy(mine);
    return out;
  }
  void die() {
    if (raw_ != nullptr)
      rd_kafka_destroy_flags(raw_, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    raw_ = nullptr;
  }

private:
  rd_kafka_t* raw_ = nullptr;
};

} // namespace

class kafka_group : public on_real_kafka {
protected:
  void SetUp() override {
    on_real_kafka::SetUp();
    if (IsSkipped())
      return;
    topics_.create("runs", 5);
    topics_.create("catalog", 3);
  }
  std::unique_ptr<member> join(const std::string& name) {
    return std::make_unique<member>(held_, name, kafka_broker::shared().address(),
                                    topics_.prefix());
  }
  bool quiet() const { return held_.each_has_one(partitions); }
  /// Every view shows `members` who hold what they were told.
  bool agrees(kafka::group& with, std::size_t members) const {
    const auto view = with.view();
    if (!view->settled || view->members.size() != members)
      return false;
    for (const auto& [topic, count] : {std::pair{".runs", 5}, std::pair{".catalog", 3}})
      for (int n = 0; n < count; ++n) {
        const raw_partition p{topics_.prefix() + topic, n};
        const auto* holder = view->holder_of(p);
        if (holder == nullptr || holder->client != held_.holder_of(p))
          return false;
      }
    return true;
  }

  static constexpr std::size_t partitions = 8;
  kafka_topics topics_;
  holdings held_;
};

// Goal: one takes all; a second gets its half only when the first has let go of it; the views of
// both show that; when one leaves the other has everything.
TEST_F(kafka_group, shares_and_hands_over) {
  auto one = join("http://one");
  EXPECT_TRUE(eventually([&] { return held_.of("http://one") == partitions; }));
  EXPECT_TRUE((*one)->joined());
  one->hold_on();
  auto two = join("http://two");
  EXPECT_TRUE(eventually([&] { return one->is_asked(); }));
  EXPECT_TRUE(eventually([&] { return (*one)->view()->members.size() == 2; }));
  EXPECT_EQ(held_.of("http://two"), 0u);
  one->let_go();
  EXPECT_TRUE(eventually([&] { return held_.of("http://two") == partitions / 2 && quiet(); }));
  EXPECT_TRUE(eventually([&] { return agrees(**one, 2) && agrees(**two, 2); }));
  (*two)->leave(soon());
  EXPECT_TRUE(eventually([&] { return held_.of("http://one") == partitions; }));
  EXPECT_FALSE(held_.doubled());
  EXPECT_EQ(one->losses + two->losses, 0);
}

// Goal: what a dead member had is shared after its session, by those that are left.
TEST_F(kafka_group, takes_over_from_the_dead) {
  auto one = join("http://one");
  mortal_member mortal{topics_.prefix()};
  EXPECT_TRUE(eventually([&] {
    return mortal.polled() == partitions / 2 && held_.of("http://one") == partitions / 2;
  }));
  mortal.die();
  EXPECT_TRUE(eventually([&] { return held_.of("http://one") == partitions; }));
  EXPECT_TRUE(eventually([&] { return agrees(**one, 1); }));
}

// Goal: who leaves before it was told its share leaves all the same (librdkafka 2.0.2 alone would
// end the process here).
TEST_F(kafka_group, leaves_before_it_was_let_in) {
  auto one = join("http://one");
  for (int i = 0; i < 5; ++i) {
    auto short_lived = join("http://short");
    EXPECT_TRUE(eventually([&] { return (*one)->view()->members.size() >= 2 || i > 0; }));
    (*short_lived)->leave(soon());
  }
  EXPECT_TRUE(eventually([&] { return held_.of("http://one") == partitions; }));
  EXPECT_FALSE(held_.doubled());
}

// Goal: members that come and go all the time never hold one partition twice, and whenever they
// rest each partition has one holder.
TEST_F(kafka_group, survives_a_storm) {
  std::mt19937 random{11};
  std::map<int, std::unique_ptr<member>> members;
  int next = 0;
  for (int burst = 0; burst < 4; ++burst) {
    for (int move = 0; move < 8; ++move) {
      if (members.empty() || random() % 5 < 3) {
        members[next] = join("http://node-" + std::to_string(next));
        ++next;
      } else {
        auto one = std::next(members.begin(), static_cast<long>(random() % members.size()));
        (*one->second)->leave(soon());
        members.erase(one);
      }
    }
    if (members.empty())
      members[next] = join("http://node-" + std::to_string(next)), ++next;
    EXPECT_TRUE(eventually([&] { return quiet(); })) << burst;
    EXPECT_TRUE(eventually([&] { return agrees(**members.begin()->second, members.size()); }));
  }
  EXPECT_FALSE(held_.doubled());
}

// Goal: a member that hears of no broker for a session has lost everything, by its own clock; when
// the broker is back it gets its share again.
TEST_F(on_own_kafka, tells_of_a_loss_when_brokers_are_silent) {
  kafka_cluster cluster;
  ASSERT_TRUE(cluster.start()) << cluster.why();
  for (const auto* topic : {"t.runs", "t.catalog"})
    ASSERT_EQ(create_kafka_topic(cluster.address(), topic, 2), "");
  holdings held;
  member one{held, "http://one", cluster.address(), "t"};
  EXPECT_TRUE(eventually([&] { return held.of("http://one") == 4; }));
  ASSERT_TRUE(cluster.pause(1)) << cluster.why();
  EXPECT_TRUE(eventually([&] { return one.losses > 0 && held.of("http://one") == 0; }));
  EXPECT_FALSE(one->joined());
  ASSERT_TRUE(cluster.resume(1)) << cluster.why();
  EXPECT_TRUE(eventually([&] { return held.of("http://one") == 4 && one->joined(); }));
  // And one that never hears of a broker again can still be taken apart.
  ASSERT_TRUE(cluster.kill(1)) << cluster.why();
}

} // namespace runledger::test
