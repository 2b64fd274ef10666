#pragma once

#include "tests/support/http_client.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::test {

/// A port of loopback that nobody listens on now.
std::uint16_t free_port();

/// Writes what the nodes of these tests share to a file that is nobody else's.
void write_secret(const std::string& path);

struct kafka_nodes_options {
  int partitions = 3; ///< Of each topic.
  std::chrono::milliseconds session_timeout{2000};
  /// The admin key that all are given; empty: one of them makes it.
  std::string admin_key = "nodes-of-a-test-0123456789";
  std::vector<std::string> flags; ///< For each node.
  std::string brokers;            ///< Empty: the tests' own.
};

/// The secret that the nodes of these tests share.
inline constexpr std::string_view cluster_secret_of_tests =
    "a secret of a test, long enough to be one";

/// Servers that share a ledger at the tests' broker, each with a folder and a port of its own, to
/// be killed, stopped and started again. Thread: the one that made it, but for ask().
class kafka_nodes {
public:
  explicit kafka_nodes(int count, kafka_nodes_options options = {});

  server_process& operator[](std::size_t i) { return nodes_[i]->server; }
  std::size_t size() const { return nodes_.size(); }
  const kafka_topics& topics() const { return topics_; }
  const std::string& data(std::size_t i) const { return nodes_[i]->data; }
  std::uint16_t port(std::size_t i) const { return nodes_[i]->port; }
  std::string admin_key() const;
  /// How a server is started on this ledger that is no member of the group.
  server_options alone(const std::string& data) const;

  /// Starts all at once and waits until they are ready. False: see why().
  bool start();
  std::string why();

  /// Asks nodes in turn, as a client does that repeats what was answered 503 or not at all, until
  /// one says something else or the time is up. Any thread.
  http_answer ask(std::string_view method, std::string_view target, std::string_view body = {},
                  const header_list& more = {}) const;
  /// Requests of ask() that went out and were not answered: the connection was reset, or ended.
  int broken() const { return broken_; }
  http_client client(std::size_t i) const { return http_client{port(i), admin_key()}; }

  /// A figure of a node's /metrics; -1: it has none.
  double metric(std::size_t i, const std::string& name) const;
  std::size_t held(std::size_t i) const;
  /// All partitions together.
  std::size_t partitions() const { return static_cast<std::size_t>(options_.partitions) * 4; }
  /// Waits until the running nodes hold everything, each partition once, whole shares.
  bool settles(std::chrono::milliseconds at_most = std::chrono::seconds{30});

  /// Makes the word counting agent, at whichever node can.
  void make_agent() const;
  /// Begins a run of it that pauses so long before each of its steps; its id.
  std::string begin_run(int pause_ms = 0) const;
  std::string status_of(const std::string& run, std::size_t at) const;
  /// Waits until a node shows that the run has succeeded.
  bool succeeds(const std::string& run, std::size_t at) const;
  std::size_t steps_of(const std::string& run, std::size_t at) const;
  /// Waits until a node executes runs; which.
  std::size_t runner() const;

  /// The first difference between what two nodes made of the partitions, up to where both have
  /// read; empty: none. Both have ended.
  std::string difference(std::size_t a, std::size_t b) const;
  /// How many partitions of a topic each process was the last to claim, as a node's replica says;
  /// in order of size.
  std::vector<std::size_t> shares_of(const std::string& topic, std::size_t at) const;
  /// The runs that a node's replica knows.
  std::size_t runs_known(std::size_t at) const;

private:
  struct one {
    one(server_options options, std::string folder, std::uint16_t at)
        : data(std::move(folder)), port(at), server(std::move(options)) {}
    std::string data;
    std::uint16_t port;
    server_process server;
  };
  server_options common(const std::string& data) const;

  kafka_nodes_options options_;
  kafka_topics topics_;
  temp_folder folder_;
  std::deque<std::unique_ptr<one>> nodes_;
  mutable std::atomic<int> broken_{0};
};

} // namespace runledger::test
