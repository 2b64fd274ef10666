// Goal: several servers share one ledger: each partition has one holder, whoever dies, leaves,
// falls silent or barges in, and nothing that was acknowledged is lost or doubled.

#include "tests/kafka/nodes.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <mutex>
#include <thread>

namespace runledger::test {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

/// Clients that start runs all the time, and repeat what was answered 503 or not at all with the
/// same Idempotency-Key.
class steady_load {
public:
  explicit steady_load(const kafka_nodes& nodes, int clients = 4) {
    for (int i = 0; i < clients; ++i)
      threads_.emplace_back([this, &nodes, i] {
        for (int n = 0; !ending_; ++n) {
          const header_list keyed{
              {"Idempotency-Key", "load-" + std::to_string(i) + '-' + std::to_string(n)},
              {"Prefer", "wait=1"}}; // No faster than runs are executed.
          const auto answer = nodes.ask("POST", "/api/v1/agents/wordcount/runs",
                                        R"({"initial_state":{"file":"ballad.txt"}})", keyed);
          std::lock_guard guard{mutex_};
          if (answer.status == 201)
            accepted_.push_back(answer["id"]);
          else
            failed_.push_back(std::to_string(answer.status) + answer.body);
        }
      });
  }
  ~steady_load() { end(); }
  void end() {
    ending_ = true;
    for (auto& each : threads_)
      each.join();
    threads_.clear();
  }
  std::size_t count() const {
    std::lock_guard guard{mutex_};
    return accepted_.size();
  }
  /// After end().
  const std::vector<std::string>& accepted() const { return accepted_; }
  const std::vector<std::string>& failed() const { return failed_; }

private:
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::vector<std::string> accepted_, failed_;
  std::vector<std::thread> threads_;
};

} // namespace

// Goal: two nodes that start at once on an empty cluster both come up, one of them makes the first
// key, each partition is held by one, and runs end.
TEST_F(on_real_kafka, two_nodes_share_a_ledger) {
  kafka_nodes_options options;
  options.admin_key.clear();
  kafka_nodes nodes{2, options};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  EXPECT_NE(nodes[0].admin_key().empty(), nodes[1].admin_key().empty());
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  std::vector<std::string> runs;
  for (int i = 0; i < 6; ++i)
    runs.push_back(nodes.begin_run());
  for (const auto& run : runs)
    for (std::size_t i = 0; i < 2; ++i)
      EXPECT_TRUE(nodes.succeeds(run, i)) << run;
  EXPECT_EQ(nodes.metric(0, "runledger_kafka_stale"), 0);
  EXPECT_EQ(nodes.metric(0, "runledger_cluster_joined"), 1);
  EXPECT_GT(nodes.metric(0, "runledger_partition_takes_total"), 0);
}

// Goal: nodes have a like share of each topic, and so of the runs: not one the runs, and another
// what is hardly ever written.
TEST_F(on_real_kafka, nodes_share_each_topic) {
  kafka_nodes_options options;
  options.partitions = 6;
  kafka_nodes nodes{2, options};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  for (const char* topic : {"runs", "workers", "workspaces", "catalog"})
    EXPECT_TRUE(eventually([&] {
      return nodes.shares_of(topic, 0) == std::vector<std::size_t>{3, 3};
    })) << topic;
}

// Goal: when a node is killed the other has everything within the session timeout and three
// seconds, and the runs that were under way end there.
TEST_F(on_real_kafka, the_other_takes_over_from_a_killed_node) {
  kafka_nodes nodes{2};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const auto run = nodes.begin_run(300);
  const auto dying = nodes.runner(), left = 1 - dying;
  EXPECT_TRUE(eventually([&] { return nodes.steps_of(run, left) >= 1; }));
  nodes[dying].kill();
  EXPECT_TRUE(eventually([&] { return nodes.held(left) == nodes.partitions(); }));
  EXPECT_TRUE(eventually([&] { return nodes.metric(left, "runledger_running_runs") > 0; }));
  EXPECT_TRUE(nodes.succeeds(run, left));
  ASSERT_TRUE(nodes[dying].start()) << nodes[dying].why();
  EXPECT_TRUE(nodes.settles());
  EXPECT_TRUE(nodes.succeeds(run, dying));
}

// Goal: a node that is asked to end hands over; nobody waits for its session, which outlasts the
// patience of this test.
TEST_F(on_real_kafka, sigterm_hands_over) {
  kafka_nodes_options options;
  options.session_timeout = seconds{120};
  kafka_nodes nodes{2, options};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const auto run = nodes.begin_run(300);
  const auto going = nodes.runner(), left = 1 - going;
  const auto end = nodes[going].stop();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0) << nodes[going].why();
  EXPECT_TRUE(eventually([&] { return nodes.held(left) == nodes.partitions(); }));
  EXPECT_TRUE(nodes.succeeds(run, left));
}

// Goal: both nodes are replaced under load, one after the other: no request of a client that
// repeats a 503 fails, no connection breaks under a request, every run that was accepted ends, and
// none was made twice.
TEST_F(on_real_kafka, a_rolling_restart_fails_no_request) {
  kafka_nodes nodes{2};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  steady_load load{nodes};
  for (std::size_t i = 0; i < 2; ++i) {
    const auto before = load.count();
    EXPECT_TRUE(eventually([&] { return load.count() > before + 10; }));
    const auto end = nodes[i].stop();
    EXPECT_TRUE(end && end->code == 0) << nodes[i].why();
    ASSERT_TRUE(nodes[i].start()) << nodes[i].why();
    EXPECT_TRUE(nodes.settles()) << nodes.why();
  }
  load.end();
  EXPECT_EQ(load.failed(), std::vector<std::string>{});
  EXPECT_EQ(nodes.broken(), 0);
  for (const auto& run : load.accepted())
    EXPECT_TRUE(nodes.succeeds(run, 0)) << run;
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(nodes[i].stop());
  EXPECT_EQ(nodes.difference(0, 1), "");
  EXPECT_EQ(nodes.runs_known(0), load.accepted().size());
}

// Goal: a node that slept longer than its session believes that it holds its partitions when it
// wakes, and writes what its harnesses said meanwhile: that is refused by every reader, its runs go
// on elsewhere and end once, and both nodes' folds are equal.
TEST_F(on_real_kafka, a_zombie_is_refused) {
  kafka_nodes nodes{2};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const auto run = nodes.begin_run(200);
  const auto asleep = nodes.runner(), left = 1 - asleep;
  std::vector<std::string> all{run};
  double refused = 0;
  for (int round = 0; refused == 0 && round < 5; ++round) { // It may hear of its loss first.
    for (int i = 0; i < 6; ++i)
      all.push_back(nodes.begin_run(100));
    EXPECT_TRUE(eventually([&] { return nodes.metric(asleep, "runledger_running_runs") > 1; }));
    nodes[asleep].signal(SIGSTOP); // Its harnesses go on.
    EXPECT_TRUE(eventually([&] { return nodes.held(left) == nodes.partitions(); }));
    nodes[asleep].signal(SIGCONT);
    EXPECT_TRUE(nodes.settles()) << nodes.why();
    refused = nodes.metric(asleep, "runledger_ledger_rejected_appends_total");
  }
  EXPECT_GT(refused, 0) << "it never wrote";
  for (const auto& each : all)
    for (auto at : {left, asleep})
      EXPECT_TRUE(nodes.succeeds(each, at)) << each;
  EXPECT_GT(nodes.metric(asleep, "runledger_partition_losses_total"), 0);
  const auto shown = nodes.client(left).get("/api/v1/runs/" + run);
  EXPECT_EQ(shown.body, nodes.client(asleep).get("/api/v1/runs/" + run).body);
  for (std::size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(nodes[i].stop());
  EXPECT_EQ(nodes.difference(0, 1), "");
}

// Goal: a server that is no member claims everything beside a node; the node claims back what the
// group gives it as soon as it is in the way, and everything that was accepted ends, once.
TEST_F(on_real_kafka, two_that_claim_one_partition) {
  kafka_nodes nodes{1};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const auto before = nodes.begin_run(200);
  temp_folder folder;
  server_process barger{nodes.alone(folder / "data")};
  barger.expect_other_views("they are made of topics, not of a file");
  barger.launch();
  ASSERT_TRUE(barger.await_port()) << barger.why();
  EXPECT_TRUE(eventually([&] { // Whether it appends or not.
    return nodes.metric(0, "runledger_partition_losses_total")
           >= static_cast<double>(nodes.partitions());
  }));
  const auto after = nodes.begin_run();
  EXPECT_TRUE(nodes.succeeds(before, 0)) << nodes.why() << barger.why();
  EXPECT_TRUE(nodes.succeeds(after, 0));
  EXPECT_TRUE(eventually([&] { return nodes.held(0) == nodes.partitions(); }));
  barger.kill();
  EXPECT_TRUE(nodes.succeeds(nodes.begin_run(), 0));
}

// Goal: without the secret a node does not start, and says how to make one.
TEST(kafka_nodes, need_a_secret) {
  temp_folder folder;
  server_options with;
  with.binary = RUNLEDGER_BINARY;
  with.data = folder / "data";
  with.flags = {"--ledger",          "kafka",
                "--kafka.brokers",   "127.0.0.1:1",
                "--kafka.advertise", "http://127.0.0.1:8080"};
  server_process server{with};
  server.launch();
  const auto end = server.await_end(seconds{10});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
  EXPECT_NE(server.printed().find("openssl rand -hex 32"), std::string::npos) << server.printed();
}

} // namespace runledger::test
