// Goal: the server on a ledger in Kafka: runs end although server or broker are killed, what is
// read without brokers says so, and a node with an empty folder has everything.

#include "tests/support/http_client.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_cluster.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace runledger::test {

namespace {

server_options on_kafka(const std::string& data, const std::string& brokers,
                        const std::string& prefix) {
  server_options out;
  out.binary = RUNLEDGER_BINARY;
  out.data = data;
  out.flags = {"--ledger",
               "kafka",
               "--kafka.brokers",
               brokers,
               "--kafka.topic-prefix",
               prefix,
               "--kafka.partitions",
               "2",
               "--kafka.session-timeout-ms",
               "2000"};
  return out;
}

/// A server of a test's own.
class node {
public:
  node(const std::string& brokers, const std::string& prefix)
      : server(on_kafka(folder / "data", brokers, prefix)) {}
  http_client client() const {
    return http_client{server.port(), key.empty() ? server.admin_key() : key};
  }
  /// Makes the word counting agent, starts a run of it and waits for its second step; its id.
  std::string begin() const {
    const auto recipe = shell_apart("/usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                                    "/examples/agents/make_recipe.py' '" RUNLEDGER_SOURCE_DIR
                                    "/examples/agents/wordcount'")
                            .out;
    const auto agent = client().post("/api/v1/agents", recipe);
    EXPECT_TRUE(agent.status == 201 || agent.status == 409) << agent.body;
    const auto run = client().post("/api/v1/agents/wordcount/runs",
                                   R"({"initial_state":{"file":"ballad.txt","pause_ms":200}})");
    EXPECT_EQ(run.status, 201) << run.body;
    EXPECT_TRUE(eventually([&] {
      return std::atoi(client().get("/api/v1/runs/" + run["id"])["steps_completed"].c_str()) >= 2;
    }));
    return run["id"];
  }
  bool succeeds(const std::string& run) const {
    return eventually([&] { return client().get("/api/v1/runs/" + run)["status"] == "succeeded"; });
  }

  temp_folder folder;
  server_process server;
  std::string key; ///< Of another node's first start; empty: this one's.
};

} // namespace

// Goal: a run whose server is killed goes on at the next start and ends; a node with an empty
// folder reads the topics and shows the same.
TEST_F(on_real_kafka, runs_end_although_their_server_is_killed) {
  kafka_topics topics;
  node one{kafka_broker::shared().address(), topics.prefix()};
  ASSERT_TRUE(one.server.start()) << one.server.why();
  const auto run = one.begin();
  one.server.kill();
  ASSERT_TRUE(one.server.start()) << one.server.why();
  EXPECT_TRUE(one.succeeds(run));
  const auto shown = one.client().get("/api/v1/runs/" + run);
  EXPECT_EQ(shown.header("runledger-stale"), "");
  const auto metrics = one.client().get("/metrics").body;
  EXPECT_NE(metrics.find("runledger_kafka_records_total{verdict=\"accepted\"}"), std::string::npos);
  EXPECT_NE(one.server.printed().find("EVERY EVENT IS KEPT ON ONE BROKER ONLY"), std::string::npos);
  ASSERT_TRUE(one.server.stop());

  node other{kafka_broker::shared().address(), topics.prefix()};
  other.key = one.server.admin_key();
  ASSERT_TRUE(other.server.start()) << other.server.why();
  EXPECT_EQ(other.client().get("/api/v1/runs/" + run).body, shown.body);
}

// Goal: without brokers writes are answered 503 with Retry-After and reads go on, marked; when the
// broker is back everything goes on by itself, and nothing acknowledged is lost.
TEST_F(on_own_kafka, serves_without_its_broker) {
  kafka_cluster cluster;
  ASSERT_TRUE(cluster.start()) << cluster.why();
  node one{cluster.address(), "t"};
  ASSERT_TRUE(one.server.start()) << one.server.why();
  const auto run = one.begin();
  ASSERT_TRUE(cluster.kill(1)) << cluster.why();
  auto asking = one.client();
  asking.patience(std::chrono::seconds{60});
  http_answer refused;
  EXPECT_TRUE(eventually([&] {
    refused = asking.post("/api/v1/agents/wordcount/runs", R"({"initial_state":{}})");
    return refused["error.code"] == "ledger_unavailable" || refused["code"] == "ledger_unavailable";
  })) << refused.body;
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.header("retry-after"), "");
  const auto stale = asking.get("/api/v1/runs/" + run);
  EXPECT_EQ(stale.status, 200);
  EXPECT_EQ(stale.header("runledger-stale"), "true");
  ASSERT_TRUE(cluster.start(1)) << cluster.why();
  EXPECT_TRUE(one.succeeds(run));
  EXPECT_TRUE(eventually([&] {
    return asking.post("/api/v1/agents/wordcount/runs", R"({"initial_state":{}})").status == 201;
  }));
  EXPECT_EQ(asking.get("/api/v1/runs/" + run).header("runledger-stale"), "");
}

} // namespace runledger::test
