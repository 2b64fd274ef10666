#pragma once

#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace runledger::test {

/// What a cluster is made as.
struct kafka_cluster_options {
  int brokers = 1;
  std::vector<std::string> properties; ///< Lines for server.properties: "name=value".
};

/// A Kafka cluster of a test's own, by scripts/kafka, to be killed and started again on the same
/// data and ports. A start takes 3 to 12 s. It ends with the object, and with the process if that
/// dies. Thread: one at a time.
class kafka_cluster {
public:
  explicit kafka_cluster(kafka_cluster_options options = {});
  ~kafka_cluster();
  kafka_cluster(const kafka_cluster&) = delete;
  kafka_cluster& operator=(const kafka_cluster&) = delete;

  /// Starts what does not run and waits until it answers. False: see why().
  bool start();
  /// One broker, numbered from 1. These are false where the script says no; see why().
  bool start(int broker);
  bool stop();
  bool stop(int broker);
  bool kill(int broker);   ///< SIGKILL.
  bool pause(int broker);  ///< SIGSTOP.
  bool resume(int broker); ///< SIGCONT.

  /// For bootstrap.servers; known after the first start.
  const std::string& address() const { return address_; }
  const std::string& folder() const { return folder_.path(); }
  /// The process of a broker; -1: it does not run.
  int pid(int broker) const;
  /// What the script said last, and the end of the brokers' logs.
  const std::string& why() const { return why_; }

private:
  bool say(const std::string& words);

  temp_folder folder_;
  kafka_cluster_options options_;
  std::string address_, why_;
};

/// Runs scripts/kafka with these words; `assignments` stand before it, as in a shell.
spoken kafka_script(const std::string& words, const std::string& assignments = {});

/// Why scripts/kafka can start no broker on this machine; empty if it can. Throws where something
/// is broken rather than missing.
std::string why_no_kafka();

/// For tests with clusters of their own: skipped, with the reason, where none can be had.
class on_own_kafka : public ::testing::Test {
protected:
  void SetUp() override;
};

} // namespace runledger::test
