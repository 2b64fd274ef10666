// Goal: the example consumers, with their Kafka clients, get from a real broker the very events
// that our fold accepts; so does who pipes kcat into them.

#include "events/json.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_feed.hpp"
#include "tests/support/node_packages.hpp"

#include <gmock/gmock.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <sstream>
#include <unistd.h>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

constexpr int patience_ms = 30'000;
const std::string examples = RUNLEDGER_SOURCE_DIR "/examples/consumers/";
const std::string python = "PYTHONPATH= /usr/bin/python3 -B '" + examples + "python/";

/// Writes records where they belong, in their order, compressed as the server does.
class feed_producer {
public:
  explicit feed_producer(const std::string& brokers) {
    char why[256] = "";
    auto* settings = rd_kafka_conf_new();
    for (const auto& [name, value] :
         std::map<std::string, std::string>{{"bootstrap.servers", brokers},
                                            {"enable.idempotence", "true"},
                                            {"linger.ms", "5"},
                                            {"compression.type", "lz4"}})
      if (rd_kafka_conf_set(settings, name.c_str(), value.c_str(), why, sizeof why)
          != RD_KAFKA_CONF_OK)
        ADD_FAILURE() << why;
    producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, settings, why, sizeof why);
    if (producer_ == nullptr)
      ADD_FAILURE() << why;
  }
  ~feed_producer() {
    EXPECT_EQ(rd_kafka_flush(producer_, patience_ms), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_destroy(producer_);
  }
  feed_producer(const feed_producer&) = delete;
  feed_producer& operator=(const feed_producer&) = delete;

  void write(const placed_record& r) {
    auto* headers = rd_kafka_headers_new(r.content.headers.size());
    for (const auto& [name, value] : r.content.headers)
      rd_kafka_header_add(headers, name.data(), static_cast<ssize_t>(name.size()),
                          value ? value->data() : nullptr,
                          value ? static_cast<ssize_t>(value->size()) : 0);
    const auto bytes = [](const std::optional<std::string>& text) {
      return text ? const_cast<char*>(text->data()) : nullptr;
    };
    const auto& [key, value, all] = r.content;
    const auto failed =
        rd_kafka_producev(producer_, RD_KAFKA_V_TOPIC(r.topic.c_str()),
                          RD_KAFKA_V_PARTITION(static_cast<int>(r.partition)),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_KEY(bytes(key), (key ? key->size() : 0)),
                          RD_KAFKA_V_VALUE(bytes(value), (value ? value->size() : 0)),
                          RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_END);
    ASSERT_EQ(failed, RD_KAFKA_RESP_ERR_NO_ERROR);
  }

private:
  rd_kafka_t* producer_;
};

/// A feed at a broker, and what our fold accepts of it.
class consumed_feed : public on_real_kafka {
protected:
  void SetUp() override {
    on_real_kafka::SetUp();
    if (IsSkipped())
      return;
    topics_.emplace();
    for (const auto& [topic, partitions] : usual_topics)
      topics_->create(topic, static_cast<int>(partitions));
    topics_->create("workspaces", 1);
    feed_producer producer{address()};
    dice roll{7};
    for (const auto& r : random_feed(roll, topics_->prefix(), 600)) {
      producer.write(r);
      if (fold_.take(r))
        ++accepted_of_[r.topic];
    }
  }

  static const std::string& address() { return kafka_broker::shared().address(); }
  std::string arguments() const {
    return " --brokers " + address() + " --prefix " + topics_->prefix() + " --until-end";
  }
  /// Partitions are read side by side: their order among each other is anyone's.
  std::vector<std::string> expected() const { return sorted(fold_.accepted()); }
  static std::vector<std::string> sorted(std::vector<std::string> events) {
    std::ranges::sort(events);
    return events;
  }
  static std::vector<std::string> events_in(const std::string& out) {
    std::vector<std::string> found;
    std::istringstream lines{out};
    for (std::string line; std::getline(lines, line);) {
      const auto parsed = json::parse(line);
      if (!parsed) {
        ADD_FAILURE() << line;
        continue;
      }
      found.push_back(std::string{parsed->root().find("id")->string()} + ' '
                      + std::string{parsed->root().find("eventhash")->string()});
    }
    return sorted(std::move(found));
  }

  std::optional<kafka_topics> topics_;
  feed_fold fold_;
  std::map<std::string, std::size_t> accepted_of_;
};

} // namespace

// Goal: Python's consumer accepts what the fold accepts.
TEST_F(consumed_feed, python_accepts_what_the_fold_accepts) {
  if (shell("/usr/bin/python3 -c 'import confluent_kafka'").exit_code != 0)
    GTEST_SKIP() << "python3-confluent-kafka is not installed";
  const auto said = shell_apart(python + "consume.py'" + arguments());
  EXPECT_EQ(said.exit_code, 0) << said.error;
  EXPECT_EQ(events_in(said.out), expected());
  EXPECT_THAT(said.error, HasSubstr("its writer does not have the partition"));
}

// Goal: a topic that is not there is told, with what to do.
TEST_F(consumed_feed, python_tells_of_missing_topics) {
  if (shell("/usr/bin/python3 -c 'import confluent_kafka'").exit_code != 0)
    GTEST_SKIP() << "python3-confluent-kafka is not installed";
  const auto said =
      shell_apart(python + "consume.py' --prefix nobody --until-end --brokers " + address());
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.error, HasSubstr("there is no topic nobody.runs"));
}

// Goal: lines of kcat are read as they come, nulls and bytes that are no UTF-8 included.
TEST_F(consumed_feed, kcat_can_be_piped_into_the_examples) {
  if (access("/usr/bin/kcat", X_OK) != 0)
    GTEST_SKIP() << "kcat is not installed";
  for (const auto& [topic, accepted] : accepted_of_)
    for (const auto& reader :
         {python + "acceptance.py'", "/usr/bin/node '" + examples + "node/acceptance.mjs'"}) {
      const auto said =
          shell_apart("kcat -q -b " + address() + " -C -e -J -t " + topic + " | " + reader);
      EXPECT_EQ(said.exit_code, 0) << said.error;
      EXPECT_EQ(events_in(said.out).size(), accepted) << topic << ' ' << reader << said.error;
    }
}

// Goal: likewise Node's consumer.
TEST_F(consumed_feed, node_accepts_what_the_fold_accepts) {
  if (const auto why = missing_node_packages(); !why.empty())
    GTEST_SKIP() << why;
  const auto said =
      run_node(examples + "node/consume.mjs " + examples + "node/acceptance.mjs", arguments());
  EXPECT_EQ(said.exit_code, 0) << said.error;
  EXPECT_EQ(events_in(said.out), expected());
  EXPECT_THAT(said.error, HasSubstr("its writer does not have the partition"));
}

} // namespace runledger::test
