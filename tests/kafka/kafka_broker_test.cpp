// Goal: every test finds brokers, knows whether they are real, and leaves nothing with them.

#include "tests/support/kafka_broker.hpp"

#include "tests/support/kafka_cluster.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

/// By another process: three records to a topic and back.
std::string there_and_back(const std::string& address, const std::string& topic) {
  const auto at = fmt::format("-b {} -t {} -p 0", address, topic);
  const auto sent = shell(fmt::format("printf 'a\\nb\\nc\\n' | kcat -P {} -X acks=all", at));
  EXPECT_EQ(sent.exit_code, 0) << sent.out;
  return shell_apart(fmt::format("timeout 60 kcat -C {} -o beginning -e -q", at)).out;
}

spoken fixture(const std::string& words, const std::string& assignments) {
  return shell(fmt::format("{} '{}/tests/support/kafka_fixture' {}", assignments,
                           RUNLEDGER_SOURCE_DIR, words));
}

} // namespace

// Goal: the shared brokers, real or not, take topics and records.
TEST(shared_kafka, carries_records) {
  kafka_topics topics;
  EXPECT_EQ(there_and_back(kafka_broker::shared().address(), topics.create("seen", 3)),
            "a\nb\nc\n");
}

// Goal: what a test created is gone with it; brokers that were given are left as they were.
TEST_F(on_real_kafka, topics_end_with_the_test) {
  const auto list = [] {
    return shell(fmt::format("kcat -L -b {}", kafka_broker::shared().address())).out;
  };
  std::string name;
  {
    kafka_topics topics;
    name = topics.create("short", 1);
    EXPECT_THAT(list(), HasSubstr(name));
  }
  EXPECT_TRUE(eventually([&] { return list().find(name) == std::string::npos; }));
}

// Goal: the mock cluster of this process serves other processes as well.
TEST(mock_kafka, carries_records_of_other_processes) {
  kafka_mock mock{3};
  ASSERT_EQ(mock.create_topic("mocked", 2, 3), "");
  EXPECT_EQ(there_and_back(mock.address(), "mocked"), "a\nb\nc\n");
}

// Goal: without Java the tests go on, and both they and the summary know why; other trouble is a
// failure.
TEST(kafka_fixture, tells_missing_from_broken) {
  const temp_folder folder;
  const auto where = folder / "kafka";
  const auto missing =
      fixture("start " + where, "env -u RUNLEDGER_TEST_KAFKA JAVA_HOME=/nonexistent");
  EXPECT_EQ(missing.exit_code, 0) << missing.out;
  EXPECT_THAT(read_whole_file(where + "/unavailable"), HasSubstr("openjdk-17-jre-headless"));
  EXPECT_THAT(read_whole_file(where + ".words"), HasSubstr("SKIPPED"));
  EXPECT_EQ(read_whole_file(where + "/address"), "");
  EXPECT_EQ(fixture("stop " + where, "").exit_code, 0);
  EXPECT_NE(fixture("start " + where, "env -u RUNLEDGER_TEST_KAFKA KAFKA_VERSION=0.7").exit_code,
            0);
}

// Goal: brokers that are given are used, and nothing is started.
TEST(kafka_fixture, takes_given_brokers) {
  const temp_folder folder;
  const auto where = folder / "kafka";
  const auto given = fixture("start " + where, "RUNLEDGER_TEST_KAFKA=broker.example:9092");
  EXPECT_EQ(given.exit_code, 0) << given.out;
  EXPECT_EQ(read_whole_file(where + "/address"), "broker.example:9092\n");
  EXPECT_THAT(read_whole_file(where + ".words"), HasSubstr("broker.example:9092"));
}

} // namespace runledger::test
