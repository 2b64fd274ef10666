// Goal: the ledger in real Kafka topics keeps the promises of the port, and what brokers do to it.

#include "events/log/kafka/topics.hpp"
#include "events/log/kafka_record.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_cluster.hpp"
#include "tests/support/kafka_ledger.hpp"
#include "tests/support/log_conformance.hpp"
#include "tests/support/server_process.hpp"

#include <librdkafka/rdkafka.h>

#include <filesystem>
#include <set>
#include <thread>

namespace runledger::test {

namespace {

using std::chrono::milliseconds;

kafka::topic_wishes wishes(const std::string& prefix) {
  kafka::topic_wishes out;
  out.prefix = prefix;
  out.partitions = 2;
  out.blobs = false;
  return out;
}

std::vector<topic_size> make_topics(const std::string& address, const std::string& prefix) {
  auto made = kafka::prepare_topics({address}, wishes(prefix));
  EXPECT_TRUE(made.has_value()) << (made ? "" : made.error());
  std::vector<topic_size> out;
  if (made)
    for (const auto& t : made->topics)
      out.push_back({t.label, t.partitions});
  return out;
}

void delete_topic(const std::string& address, const std::string& name) {
  auto client = kafka::producer::open({address}, {});
  ASSERT_TRUE(client);
  auto* raw = (*client)->raw();
  auto* queue = rd_kafka_queue_new(raw);
  auto* topic = rd_kafka_DeleteTopic_new(name.c_str());
  rd_kafka_DeleteTopics(raw, &topic, 1, nullptr, queue);
  rd_kafka_event_destroy(rd_kafka_queue_poll(queue, 10'000));
  rd_kafka_DeleteTopic_destroy(topic);
  rd_kafka_queue_destroy(queue);
  EXPECT_TRUE(eventually([&] {
    const auto info = (*client)->describe(milliseconds{5000});
    return info && info->find(name) == nullptr;
  }));
}

/// The codec of each batch in a partition's log on the broker's disk (attributes, lowest 3 bits).
std::set<int> stored_codecs(const std::string& folder, const std::string& partition) {
  std::set<int> out;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder}) {
    if (entry.path().extension() != ".log" || entry.path().parent_path().filename() != partition)
      continue;
    const auto bytes = read_whole_file(entry.path().string());
    auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    for (std::size_t batch = 0; batch + 23 < bytes.size();) {
      out.insert(at(batch + 22) & 7);
      batch += 12
               + (std::size_t{at(batch + 8)} << 24 | std::size_t{at(batch + 9)} << 16
                  | std::size_t{at(batch + 10)} << 8 | at(batch + 11));
    }
  }
  return out;
}

} // namespace

/// A ledger of four topics at the shared brokers. The mock is no place to make topics safely.
struct shared_ledger {
  shared_ledger() {
    auto& broker = kafka_broker::shared();
    auto sizes = broker.is_real() ? make_topics(broker.address(), topics_.prefix())
                                  : std::vector<topic_size>{};
    if (!broker.is_real())
      for (const auto& label : kafka::ledger_topic_labels()) {
        topics_.create(label, 2);
        sizes.push_back({label, 2});
      }
    log_ = open_kafka(
        kafka_options(broker.address(), topics_.prefix(), std::move(sizes), folder_.path()));
  }
  event_log& log() { return *log_; }

  kafka_topics topics_;
  temp_folder folder_;
  std::unique_ptr<kafka_log> log_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(kafka, log_conformance, shared_ledger);

class kafka_ledger : public on_real_kafka {
protected:
  void open() {
    log_ = open_kafka(kafka_options(address(), topics_.prefix(), sizes_, folder_.path(), &said_));
  }
  void SetUp() override {
    on_real_kafka::SetUp();
    if (IsSkipped())
      return;
    sizes_ = make_topics(address(), topics_.prefix());
    open();
    ASSERT_TRUE(log_);
    epoch_ = claim();
  }
  std::uint64_t claim() {
    std::uint64_t epoch = 0;
    for (std::uint32_t p = 0; p < log_->partition_count(); ++p) {
      auto taken = take_partition(*log_, p, "node", clock_, ids_);
      EXPECT_TRUE(taken.has_value()) << (taken ? "" : taken.error().detail);
      epoch = taken ? taken->epoch : 0;
    }
    return epoch;
  }
  static const std::string& address() { return kafka_broker::shared().address(); }

  kafka_topics topics_;
  temp_folder folder_;
  said_lines said_;
  std::vector<topic_size> sizes_;
  std::unique_ptr<kafka_log> log_;
  fixed_clock clock_;
  counting_ids ids_;
  std::uint64_t epoch_ = 0;
};

// Goal: the topics are made with what keeps events, asked for again they are as they were, and one
// replica is said loudly.
TEST_F(kafka_ledger, makes_safe_topics) {
  const auto again = kafka::prepare_topics({address()}, wishes(topics_.prefix()));
  ASSERT_TRUE(again) << again.error();
  EXPECT_TRUE(again->made.empty());
  ASSERT_EQ(again->topics.size(), 4u);
  EXPECT_EQ(again->topics[0].partitions, 2u);
  if (again->topics[0].replicas == 1) {
    ASSERT_EQ(again->warnings.size(), 1u);
    EXPECT_NE(again->warnings[0].find("ON ONE BROKER ONLY"), std::string::npos);
  }
}

// Goal: a topic that would lose events is refused, with the command that puts it right.
TEST_F(on_real_kafka, refuses_topics_that_lose_events) {
  kafka_topics topics;
  const auto name =
      topics.create("runs", 2, 1, {{"retention.ms", "60000"}, {"cleanup.policy", "compact"}});
  const auto refused =
      kafka::prepare_topics({kafka_broker::shared().address()}, wishes(topics.prefix()));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("--entity-name " + name), std::string::npos) << refused.error();
  EXPECT_NE(refused.error().find("retention.ms=-1"), std::string::npos) << refused.error();
  EXPECT_NE(refused.error().find("cleanup.policy=delete"), std::string::npos) << refused.error();
}

// Goal: more replicas than the topic has are not silently done without.
TEST_F(kafka_ledger, refuses_fewer_replicas_than_asked_for) {
  auto more = wishes(topics_.prefix());
  more.replication = 5;
  const auto refused = kafka::prepare_topics({address()}, more);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("kafka-reassign-partitions.sh"), std::string::npos);
}

// Goal: a topic that was made anew under a running server ends it, and is read anew at the next
// start, with a line for the operator.
TEST_F(kafka_ledger, notices_a_topic_made_anew) {
  for (std::uint64_t n = 1; n <= 20; ++n) {
    stream_maker s{session_name(n), epoch_};
    EXPECT_EQ(append_one(*log_, {s.next()}).outcome, append_outcome::accepted);
  }
  const auto name = topics_.prefix() + ".runs";
  delete_topic(address(), name);
  ASSERT_EQ(make_topics(address(), topics_.prefix()).size(), 4u);
  EXPECT_TRUE(eventually([&] { return log_->failed().has_value(); }, std::chrono::seconds{60}));
  stream_maker late{session_name(30), epoch_};
  EXPECT_EQ(append_one(*log_, {late.next()}).outcome, append_outcome::unavailable);
  log_.reset();
  open();
  ASSERT_TRUE(log_);
  EXPECT_TRUE(log_->made_anew());
  EXPECT_TRUE(said_.has("is read anew"));
  EXPECT_TRUE(read_all(*log_, 1000, 0).empty());
}

// Goal: the same while no server ran: the replica does not fit and is read anew.
TEST_F(kafka_ledger, notices_at_the_start_what_happened_meanwhile) {
  stream_maker a{session_name(1), epoch_};
  EXPECT_EQ(append_one(*log_, {a.next()}).outcome, append_outcome::accepted);
  const auto home =
      *partition_of(stream_id{session_name(1)}, session_name(1), log_->partition_names());
  log_.reset();
  delete_topic(address(), topics_.prefix() + ".runs");
  ASSERT_EQ(make_topics(address(), topics_.prefix()).size(), 4u);
  open();
  ASSERT_TRUE(log_);
  EXPECT_TRUE(log_->made_anew());
  EXPECT_TRUE(read_all(*log_, 1000, home).empty());
  EXPECT_TRUE(log_->read_stream(stream_id{session_name(1)}, 1, 10)->empty());
}

// Goal: a broker that is killed under load and comes back has lost nothing that was acknowledged,
// appends meanwhile are told by our own clock, and what is stored is compressed.
TEST_F(on_own_kafka, survives_a_killed_broker) {
  kafka_cluster cluster;
  ASSERT_TRUE(cluster.start()) << cluster.why();
  temp_folder folder;
  auto with =
      kafka_options(cluster.address(), "t", make_topics(cluster.address(), "t"), folder.path());
  with.append_timeout = milliseconds{1500};
  with.session_timeout = milliseconds{1500};
  auto log = open_kafka(with);
  ASSERT_TRUE(log);
  fixed_clock clock;
  counting_ids ids;
  std::uint64_t epoch = 0;
  for (std::uint32_t p = 0; p < log->partition_count(); ++p)
    epoch = take_partition(*log, p, "node", clock, ids)->epoch;

  std::atomic<std::size_t> acknowledged{0};
  std::atomic<bool> refused{false}, ending{false};
  std::vector<record_ptr> kept; // By the writer alone until it has ended.
  std::thread writer{[&] {
    for (std::uint64_t n = 1; !ending; ++n) {
      stream_maker s{session_name(n), epoch};
      auto event = s.next("\"" + std::string(500, 'x') + "\"");
      const auto answer = append_one(*log, {event});
      if (answer.outcome == append_outcome::accepted) {
        kept.push_back(event);
        acknowledged = kept.size();
      } else {
        refused = true;
      }
    }
  }};
  EXPECT_TRUE(eventually([&] { return acknowledged > 50; }));
  ASSERT_TRUE(cluster.kill(1)) << cluster.why();
  EXPECT_TRUE(eventually([&] { return log->is_stale() && refused; }));
  ASSERT_TRUE(cluster.start(1)) << cluster.why();
  const auto before = acknowledged.load();
  EXPECT_TRUE(eventually([&] { return acknowledged > before + 50; }, std::chrono::seconds{60}));
  ending = true;
  writer.join();
  temp_folder other;
  with.replica_file = other / "replica.db";
  auto anew = open_kafka(with);
  ASSERT_TRUE(anew);
  for (const auto& each : kept) {
    const auto there = anew->read_stream(each->event.stream, 1, 2);
    ASSERT_TRUE(there && there->size() == 1) << each->event.id();
    EXPECT_EQ(there->front()->event.eventhash, each->event.eventhash);
  }
  EXPECT_EQ(anew->figures().records[static_cast<std::size_t>(verdict::stale_seq)], 0u);
  EXPECT_TRUE(stored_codecs(cluster.folder(), "t.runs-0").contains(3)); // lz4
}

} // namespace runledger::test
