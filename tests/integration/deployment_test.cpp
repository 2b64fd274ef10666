// Goal: compose.yaml, Dockerfile and the dashboard name only what exists: settings that the server
// takes, metrics that it has, files and packages. Docker itself is not needed for that.

#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

/// What the files are held against, once for all tests here.
class deployment : public ::testing::Test {
protected:
  static void SetUpTestSuite() {
    folder_ = new temp_folder;
    server_process server{{RUNLEDGER_BINARY, *folder_ / "data", {}, {}}};
    ASSERT_TRUE(server.start()) << server.why();
    http_client client{server.port()};
    std::ofstream{*folder_ / "metrics"} << client.get("/metrics").body;
  }
  static void TearDownTestSuite() { delete folder_; }

  static spoken check(const std::string& root) {
    return shell(fmt::format("'{}/tests/integration/deployment_checks.py' '{}' '{}' '{}'",
                             RUNLEDGER_SOURCE_DIR, root, RUNLEDGER_BINARY, *folder_ / "metrics"));
  }

  /// The complaint when `from` is replaced by `to` in a copy of that file.
  static std::string changed(const std::string& file, const std::string& from,
                             const std::string& to) {
    const temp_folder copy;
    for (const auto* name : {"compose.yaml", "Dockerfile", "monitoring", "scripts"})
      std::filesystem::copy(fmt::format("{}/{}", RUNLEDGER_SOURCE_DIR, name), copy / name,
                            std::filesystem::copy_options::recursive);
    auto text = read_whole_file(copy / file);
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << file << " has no " << from;
    std::ofstream{copy / file} << text.replace(at, from.size(), to);
    return check(copy.path()).out;
  }

private:
  static inline temp_folder* folder_ = nullptr;
};

} // namespace

// Goal: nothing is wrong with the files as they are.
TEST_F(deployment, names_what_exists) {
  const auto said = check(RUNLEDGER_SOURCE_DIR);
  EXPECT_EQ(said.exit_code, 0) << said.out;
}

// Goal: a mistake in one of the files is found.
TEST_F(deployment, mistakes_are_found) {
  EXPECT_THAT(changed("compose.yaml", "KAFKA_REPLICATION", "KAFKA_REPLICATON"),
              HasSubstr("RUNLEDGER_KAFKA_REPLICATON"));
  EXPECT_THAT(changed("compose.yaml", "\n  kafka-data:\n", "\n"),
              HasSubstr("kafka-data does not exist"));
  EXPECT_THAT(changed("compose.yaml", "apache/kafka:3", "apache/kafka:2"),
              HasSubstr("but the tests run"));
  EXPECT_THAT(changed("compose.yaml", "127.0.0.1:8081:", "8081:"),
              HasSubstr("open to the network"));
  EXPECT_THAT(changed("Dockerfile", "libre2-9", ""), HasSubstr("the binary needs libre2-9"));
  EXPECT_THAT(changed("Dockerfile", "RUNLEDGER_LISTEN=0.0.0.0:", "RUNLEDGER_LISTEN="),
              HasSubstr("Dockerfile: "));
  EXPECT_THAT(changed("monitoring/prometheus.yml", "node-2", "node-3"), HasSubstr("scrapes"));
  EXPECT_THAT(
      changed("monitoring/grafana/dashboards/runledger.json", "runledger_ready", "runledger_reddy"),
      HasSubstr("the server has no runledger_reddy"));
}

} // namespace runledger::test
