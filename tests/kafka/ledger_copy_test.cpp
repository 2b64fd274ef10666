// Goal: a ledger moves from SQLite to Kafka and back with the same events in every stream; it is
// served there, killed copies go on, and nodes that are there are found.

#include "events/log/sqlite_log.hpp"
#include "tests/support/event_hashes.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <csignal>
#include <fmt/format.h>
#include <fstream>
#include <memory>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

class moved : public on_real_kafka {
protected:
  void SetUp() override {
    on_real_kafka::SetUp();
    if (IsSkipped())
      return;
    brokers = kafka_broker::shared().address();
    topics = std::make_unique<kafka_topics>();
    place = fmt::format("kafka:{}/{}", brokers, topics->prefix());
  }
  spoken run(const std::string& words, const std::string& before = {}) const {
    return shell(
        fmt::format("{} env TMPDIR='{}' '{}' {}", before, scratch.path(), RUNLEDGER_BINARY, words));
  }
  spoken copy(const std::string& from, const std::string& to, const std::string& words = {},
              const std::string& before = {}) const {
    const auto partitions = words.find("--partitions") == std::string::npos ? "--partitions 2" : "";
    return run(fmt::format("ledger copy --from '{}' --to '{}' {} {}", from, to, partitions, words),
               before);
  }
  static std::string file(const std::string& data) { return "sqlite:" + data + "/ledger.db"; }
  server_options on_topics(const std::string& data) const {
    return {RUNLEDGER_BINARY,
            data,
            {"--ledger", "kafka", "--kafka.brokers", brokers, "--kafka.topic-prefix",
             topics->prefix(), "--kafka.partitions", "2"},
            {}};
  }
  /// A ledger with a run, an agent, and content beside it; its server has ended.
  void make_ledger() {
    ASSERT_TRUE(server.start()) << server.why();
    key = server.admin_key();
    http_client client{server.port(), key};
    const auto recipe = shell_apart("/usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                                    "/examples/agents/make_recipe.py' '" RUNLEDGER_SOURCE_DIR
                                    "/examples/agents/wordcount'")
                            .out;
    ASSERT_EQ(client.post("/api/v1/agents", recipe).status, 201);
    const auto big = std::string(300'000, 'x');
    const auto begun =
        client.ask("POST", "/api/v1/agents/wordcount/runs",
                   R"({"initial_state":{"file":"ballad.txt","pause_ms":100,"big":")" + big + "\"}}",
                   {{"Idempotency-Key", "before"}});
    ASSERT_EQ(begun.status, 201) << begun.body;
    run_id = begun["id"];
    ASSERT_TRUE(
        eventually([&] { return client.get("/api/v1/runs/" + run_id)["steps_completed"] != "0"; }));
    server.kill();
  }

  temp_folder folder, scratch;
  std::unique_ptr<kafka_topics> topics;
  std::string brokers, place, key, run_id;
  const std::string data = folder / "data", back = folder / "back";
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
};

} // namespace

// Goal: to Kafka, where a server ends the run that was under way, and back: every event of every
// stream is there with its hash, and auditors are content everywhere.
TEST_F(moved, goes_to_kafka_and_back) {
  make_ledger();
  const auto before = event_hashes_in(data);
  const auto there = copy(file(data), place);
  ASSERT_EQ(there.exit_code, 0) << there.out;
  auto verified = run("audit verify --ledger '" + place + "'");
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
  EXPECT_THAT(verified.out, HasSubstr("1 of its last tree heads bear them out"));
  EXPECT_THAT(copy(file(data), place).out, HasSubstr("is a whole copy"));
  {
    server_process node{on_topics(folder / "node")};
    node.expect_other_views("they are made of topics, not of a file");
    ASSERT_TRUE(node.start()) << node.why();
    http_client client{node.port(), key};
    EXPECT_TRUE(
        eventually([&] { return client.get("/api/v1/runs/" + run_id)["status"] == "succeeded"; }));
    ASSERT_TRUE(node.stop());
  }
  const auto home = copy(place, file(back));
  ASSERT_EQ(home.exit_code, 0) << home.out;
  const auto after = event_hashes_in(back);
  EXPECT_GT(after.size(), before.size());
  for (const auto& [id, hash] : before)
    EXPECT_EQ(after.contains(id) ? after.at(id) : "", hash) << id;
  verified = run("audit verify --blobs --data '" + back + "'");
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
  server_process last{{RUNLEDGER_BINARY, back, {}, {}}};
  ASSERT_TRUE(last.start()) << last.why();
  EXPECT_EQ(http_client(last.port(), key).get("/api/v1/runs/" + run_id)["status"], "succeeded");

  server_process late{on_topics(folder / "late")};
  late.launch();
  EXPECT_EQ(late.await_end(std::chrono::seconds{60}).value_or(process_end{}).code, 2);
  EXPECT_THAT(late.printed(), HasSubstr("copied to sqlite:" + back));
}

// Goal: killed in the middle of claims, events and the end, the copy goes on with the same command,
// and to other topics with another number of partitions.
TEST_F(moved, goes_on_wherever_it_was_killed) {
  make_ledger();
  const auto expected = event_hashes_in(data);
  int kills = 0;
  spoken said;
  // Each life ends a few steps further than it came to take the partitions again.
  for (const int steps : {2, 6, 12, 14}) {
    said = copy(file(data), place, "--batch 5",
                fmt::format("env RUNLEDGER_FAIL_POINT=copy_step:{}", steps));
    if (said.exit_code == 0)
      break;
    ASSERT_TRUE(said.exit_code == -1 || said.exit_code == 128 + SIGKILL) << said.out;
    ++kills;
  }
  EXPECT_EQ(kills, 4);
  said = copy(file(data), place, "--batch 5");
  ASSERT_EQ(said.exit_code, 0) << said.out;
  const auto verified = run("audit verify --ledger '" + place + "'");
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
  const kafka_topics others;
  const auto larger = fmt::format("kafka:{}/{}", brokers, others.prefix());
  said = copy(place, larger, "--partitions 3");
  ASSERT_EQ(said.exit_code, 0) << said.out;
  ASSERT_EQ(copy(larger, file(back)).exit_code, 0);
  EXPECT_EQ(event_hashes_in(back), expected);
}

// Goal: a server that nobody could see beside a copy, because it is in no group, ends and says
// where the ledger goes on.
TEST_F(moved, ends_a_server_that_was_not_seen) {
  make_ledger();
  ASSERT_EQ(copy(file(data), place).exit_code, 0);
  server_process unseen{on_topics(folder / "unseen")};
  unseen.expect_other_views("they are made of topics, not of a file");
  ASSERT_TRUE(unseen.start()) << unseen.why();
  const auto said = copy(place, file(back));
  ASSERT_EQ(said.exit_code, 0) << said.out;
  EXPECT_EQ(unseen.await_end(std::chrono::seconds{30}).value_or(process_end{}).code, 2);
  EXPECT_THAT(unseen.printed(), HasSubstr("copied to sqlite:" + back));
}

// Goal: topics that hold another ledger are left as they are; so is a source whose nodes are there.
TEST_F(moved, is_refused_by_what_is_there) {
  make_ledger();
  ASSERT_EQ(copy(file(data), place).exit_code, 0);
  server_process other{{RUNLEDGER_BINARY, back, {}, {}}};
  ASSERT_TRUE(other.start()) << other.why();
  ASSERT_TRUE(other.stop());
  auto said = copy(file(back), place);
  EXPECT_EQ(said.exit_code, 2);
  EXPECT_THAT(said.out, HasSubstr("is not empty: it holds the ledger "));

  char why[256] = {};
  auto* conf = rd_kafka_conf_new();
  for (const auto& [name, value] : std::map<std::string, std::string>{
           {"bootstrap.servers", brokers}, {"group.id", topics->prefix() + ".owners"}})
    ASSERT_EQ(rd_kafka_conf_set(conf, name.c_str(), value.c_str(), why, sizeof why),
              RD_KAFKA_CONF_OK);
  const std::unique_ptr<rd_kafka_t, decltype(&rd_kafka_destroy)> node{
      rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why), rd_kafka_destroy};
  auto* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, (topics->prefix() + ".runs").c_str(),
                                    RD_KAFKA_PARTITION_UA);
  ASSERT_EQ(rd_kafka_subscribe(node.get(), list), RD_KAFKA_RESP_ERR_NO_ERROR);
  rd_kafka_topic_partition_list_destroy(list);
  EXPECT_TRUE(eventually([&] {
    if (auto* message = rd_kafka_consumer_poll(node.get(), 200))
      rd_kafka_message_destroy(message);
    said = copy(place, file(folder / "third"));
    return said.out.find("is in use by 1 node") != std::string::npos;
  })) << said.out;
  EXPECT_EQ(said.exit_code, 2);
  rd_kafka_consumer_close(node.get());
}

} // namespace runledger::test
