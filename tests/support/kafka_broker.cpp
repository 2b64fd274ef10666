#include "tests/support/kafka_broker.hpp"

#include "tests/support/kafka_cluster.hpp"
#include "tests/support/server_process.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <fmt/format.h>
#include <random>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace runledger::test {

namespace {

constexpr int answer_ms = 15'000;

template <auto Destroy>
struct destroys {
  void operator()(auto* what) const { Destroy(what); }
};
template <class T, auto Destroy>
using owned = std::unique_ptr<T, destroys<Destroy>>;
using client_handle = owned<rd_kafka_t, rd_kafka_destroy>;
using queue_handle = owned<rd_kafka_queue_t, rd_kafka_queue_destroy>;
using event_handle = owned<rd_kafka_event_t, rd_kafka_event_destroy>;
using new_topic = owned<rd_kafka_NewTopic_t, rd_kafka_NewTopic_destroy>;
using old_topic = owned<rd_kafka_DeleteTopic_t, rd_kafka_DeleteTopic_destroy>;
using metadata = owned<const rd_kafka_metadata_t, rd_kafka_metadata_destroy>;

client_handle client_of(const std::string& address) {
  char why[512];
  auto* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", address.c_str(), why, sizeof why);
  rd_kafka_conf_set(conf, "log_level", "0", why, sizeof why);
  return client_handle{rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why)};
}

metadata ask(rd_kafka_t* client, int timeout_ms) {
  const rd_kafka_metadata_t* found = nullptr;
  rd_kafka_metadata(client, 1, nullptr, &found, timeout_ms);
  return metadata{found};
}

bool answers(const std::string& address) {
  const auto found = ask(client_of(address).get(), 5'000);
  return found && found->broker_cnt > 0;
}

bool has_leaders(const rd_kafka_metadata_topic_t& topic, int partitions) {
  if (topic.err != RD_KAFKA_RESP_ERR_NO_ERROR || topic.partition_cnt != partitions)
    return false;
  for (int i = 0; i < topic.partition_cnt; ++i)
    if (topic.partitions[i].leader < 0)
      return false;
  return true;
}

/// A topic that was just created is not known everywhere at once.
bool await_leaders(rd_kafka_t* client, const std::string& name, int partitions) {
  return eventually(
      [&] {
        const auto known = ask(client, 2'000);
        for (int i = 0; known && i < known->topic_cnt; ++i)
          if (name == known->topics[i].topic)
            return has_leaders(known->topics[i], partitions);
        return false;
      },
      std::chrono::milliseconds{answer_ms});
}

std::string topic_error(rd_kafka_event_t* answer) {
  if (answer == nullptr)
    return "no answer";
  if (rd_kafka_event_error(answer) != RD_KAFKA_RESP_ERR_NO_ERROR)
    return rd_kafka_event_error_string(answer);
  std::size_t count = 0;
  const auto** topics =
      rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(answer), &count);
  for (std::size_t i = 0; i < count; ++i)
    if (rd_kafka_topic_result_error(topics[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
      return rd_kafka_topic_result_error_string(topics[i]);
  return {};
}

void delete_topics(const std::string& address, const std::string& prefix) {
  const auto client = client_of(address);
  const auto known = ask(client.get(), answer_ms);
  std::vector<rd_kafka_DeleteTopic_t*> topics;
  for (int i = 0; known && i < known->topic_cnt; ++i)
    if (std::string_view{known->topics[i].topic}.starts_with(prefix))
      topics.push_back(rd_kafka_DeleteTopic_new(known->topics[i].topic));
  if (topics.empty())
    return;
  const queue_handle queue{rd_kafka_queue_new(client.get())};
  rd_kafka_DeleteTopics(client.get(), topics.data(), topics.size(), nullptr, queue.get());
  const event_handle answer{rd_kafka_queue_poll(queue.get(), answer_ms)};
  rd_kafka_DeleteTopic_destroy_array(topics.data(), topics.size());
}

std::string whole_line(const std::string& path) {
  auto text = read_whole_file(path);
  while (text.ends_with('\n'))
    text.pop_back();
  return text;
}

/// Names of the process, its start and a count: no two tests share one, at any broker.
std::string unused_prefix() {
  static const auto start = std::random_device{}();
  static std::atomic<int> count{0};
  return fmt::format("test-{:08x}-{}-{}", start, ::getpid(), ++count);
}

} // namespace

struct kafka_mock::client {
  client_handle handle;
};

kafka_mock::kafka_mock(int brokers) : client_(new client{client_of("")}) {
  cluster_ = rd_kafka_mock_cluster_new(client_->handle.get(), brokers);
}

kafka_mock::~kafka_mock() {
  rd_kafka_mock_cluster_destroy(cluster_);
}

std::string kafka_mock::address() const {
  return rd_kafka_mock_cluster_bootstraps(cluster_);
}

std::string kafka_mock::create_topic(const std::string& name, int partitions, int replication) {
  const auto error = rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, replication);
  return error == RD_KAFKA_RESP_ERR_NO_ERROR ? "" : rd_kafka_err2str(error);
}

kafka_broker& kafka_broker::shared() {
  static kafka_broker broker;
  return broker;
}

kafka_broker::~kafka_broker() = default;

kafka_broker::kafka_broker() {
  if (const char* given = std::getenv("RUNLEDGER_TEST_KAFKA"); given != nullptr && *given != '\0') {
    address_ = given;
    return;
  }
  address_ = whole_line(RUNLEDGER_KAFKA_FOLDER "/address");
  if (!address_.empty() && answers(address_))
    return;
  why_mock_ = whole_line(RUNLEDGER_KAFKA_FOLDER "/unavailable");
  if (why_mock_.empty())
    why_mock_ = why_no_kafka();
  if (why_mock_.empty()) {
    own_ = std::make_unique<kafka_cluster>();
    if (!own_->start())
      throw std::runtime_error{own_->why()};
    address_ = own_->address();
    return;
  }
  mock_ = std::make_unique<kafka_mock>();
  address_ = mock_->address();
}

std::string create_kafka_topic(const std::string& address, const std::string& name, int partitions,
                               int replication,
                               const std::map<std::string, std::string>& settings) {
  char why[512] = "";
  const auto client = client_of(address);
  const new_topic topic{
      rd_kafka_NewTopic_new(name.c_str(), partitions, replication, why, sizeof why)};
  if (!topic)
    return why;
  for (const auto& [key, value] : settings)
    rd_kafka_NewTopic_set_config(topic.get(), key.c_str(), value.c_str());
  const queue_handle queue{rd_kafka_queue_new(client.get())};
  auto* topics = topic.get();
  rd_kafka_CreateTopics(client.get(), &topics, 1, nullptr, queue.get());
  const event_handle answer{rd_kafka_queue_poll(queue.get(), answer_ms)};
  const auto error = topic_error(answer.get());
  if (error.empty() && !await_leaders(client.get(), name, partitions))
    return "its partitions have no leaders";
  return error;
}

kafka_topics::kafka_topics(kafka_broker& at) : at_(at), prefix_(unused_prefix()) {}

kafka_topics::~kafka_topics() {
  if (at_.is_real())
    delete_topics(at_.address(), prefix_ + '.');
}

std::string kafka_topics::create(const std::string& name, int partitions, int replication,
                                 const std::map<std::string, std::string>& settings) {
  const auto whole = prefix_ + '.' + name;
  const auto error =
      at_.is_real() ? create_kafka_topic(at_.address(), whole, partitions, replication, settings)
                    : at_.mock()->create_topic(whole, partitions, replication);
  EXPECT_EQ(error, "") << "topic " << whole;
  return whole;
}

void on_real_kafka::SetUp() {
  if (!kafka_broker::shared().is_real())
    GTEST_SKIP() << "no real Kafka: " << kafka_broker::shared().why_mock();
}

} // namespace runledger::test
