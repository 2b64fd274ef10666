#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

struct rd_kafka_mock_cluster_s;

namespace runledger::test {

class kafka_mock;
class kafka_cluster;

/// The brokers that the tests share. Looked for once in a process, in this order: those that
/// RUNLEDGER_TEST_KAFKA names; the broker that ctest's fixture `kafka` started; one that
/// scripts/kafka starts for this process; where none can be had, librdkafka's mock cluster inside
/// this process, which creates topics but knows neither their settings nor a disk. Threads: any.
class kafka_broker {
public:
  static kafka_broker& shared();
  ~kafka_broker();

  /// For bootstrap.servers.
  const std::string& address() const { return address_; }
  bool is_real() const { return mock_ == nullptr; }
  /// Why it is the mock: empty for real brokers.
  const std::string& why_mock() const { return why_mock_; }
  kafka_mock* mock() { return mock_.get(); }

private:
  kafka_broker();

  std::string address_, why_mock_;
  std::unique_ptr<kafka_cluster> own_;
  std::unique_ptr<kafka_mock> mock_;
};

/// librdkafka's mock cluster, in this process, on loopback. Threads: any.
class kafka_mock {
public:
  explicit kafka_mock(int brokers = 1);
  ~kafka_mock();
  kafka_mock(const kafka_mock&) = delete;
  kafka_mock& operator=(const kafka_mock&) = delete;

  std::string address() const;
  /// For rdkafka_mock.h: errors, round-trip times, brokers that are down.
  rd_kafka_mock_cluster_s* handle() const { return cluster_; }
  /// Empty, or what went wrong.
  std::string create_topic(const std::string& name, int partitions, int replication = 1);

private:
  struct client;
  std::unique_ptr<client> client_;
  rd_kafka_mock_cluster_s* cluster_ = nullptr;
};

/// Creates a topic at real brokers and waits until all its partitions have leaders. Empty, or what
/// went wrong.
std::string create_kafka_topic(const std::string& address, const std::string& name, int partitions,
                               int replication = 1,
                               const std::map<std::string, std::string>& settings = {});

/// A topic prefix that no other test has; the topics that begin with it are deleted at its end.
class kafka_topics {
public:
  explicit kafka_topics(kafka_broker& at = kafka_broker::shared());
  ~kafka_topics();
  kafka_topics(const kafka_topics&) = delete;
  kafka_topics& operator=(const kafka_topics&) = delete;

  const std::string& prefix() const { return prefix_; }
  /// Makes PREFIX.name at the real or the mock brokers, and returns that; fails the test where it
  /// cannot. The mock knows no settings.
  std::string create(const std::string& name, int partitions, int replication = 1,
                     const std::map<std::string, std::string>& settings = {});

private:
  kafka_broker& at_;
  std::string prefix_;
};

/// For tests that the mock cannot carry: skipped, with the reason, where there is no real broker.
class on_real_kafka : public ::testing::Test {
protected:
  void SetUp() override;
};

} // namespace runledger::test
