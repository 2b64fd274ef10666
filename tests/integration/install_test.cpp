// Goal: `cmake --install` into an empty prefix gives a binary, docs and example agents that work
// from there, without the source folder.

#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fmt/format.h>

namespace runledger::test {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

} // namespace

TEST(installed, serves_and_runs_an_example_agent) {
  temp_folder folder;
  const auto prefix = folder / "prefix";
  const auto build = std::filesystem::path{RUNLEDGER_BINARY}.parent_path().string();
  const auto installed = shell(fmt::format("cmake --install '{}' --prefix '{}'", build, prefix));
  ASSERT_EQ(installed.exit_code, 0) << installed.out;
  const auto binary = prefix + "/bin/runledger";
  const auto version = shell(fmt::format("'{}' --version", binary));
  EXPECT_EQ(version.exit_code, 0) << version.out;
  EXPECT_THAT(version.out, StartsWith("runledger "));
  EXPECT_TRUE(std::filesystem::exists(prefix + "/share/doc/runledger/README.md"));
  EXPECT_TRUE(std::filesystem::exists(prefix + "/share/doc/runledger/operations.md"));

  server_process server{{binary, folder / "data", {}, {}}};
  ASSERT_TRUE(server.start()) << server.why();
  const auto say = [&](const std::string& words) {
    return shell(fmt::format("cd '{}' && env -u RUNLEDGER_API_KEY "
                             "RUNLEDGER_SERVER=http://127.0.0.1:{} RUNLEDGER_DATA='{}' {}",
                             folder.path(), server.port(), folder / "data", words));
  };
  const auto agents = prefix + "/share/runledger/examples/agents";
  const auto made = say(fmt::format("sh -c \"'{0}/make_recipe.py' '{0}/wordcount' | '{1}' agents "
                                    "create --from -\"",
                                    agents, binary));
  ASSERT_EQ(made.exit_code, 0) << made.out;
  const auto run =
      say(fmt::format("'{}' runs start wordcount --prompt file:ballad.txt --wait", binary));
  EXPECT_EQ(run.exit_code, 0) << run.out;
  EXPECT_THAT(run.out, AllOf(HasSubstr("artifact_published"), HasSubstr("running -> succeeded")));
  const auto end = server.stop();
  ASSERT_TRUE(end) << server.why();
  EXPECT_EQ(end->code, 0) << server.why();
}

} // namespace runledger::test
