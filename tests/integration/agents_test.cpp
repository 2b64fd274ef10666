// Goal: the example agents survive being killed at any line, and keep to the harness protocol. The
// work is done by agents_driver.py and its companions beside this file, without a server.

#include "tests/support/shell.hpp"

#include <gtest/gtest.h>

#include <string>
#include <unistd.h>

namespace {

/// Runs a companion with Debian's Python, as the sandbox would.
runledger::test::spoken run_python(const std::string& arguments) {
  return runledger::test::shell("cd '" RUNLEDGER_SOURCE_DIR
                                "/tests/integration' && PYTHONPATH= /usr/bin/python3 -B "
                                + arguments);
}

class example_agent : public testing::TestWithParam<const char*> {};

TEST_P(example_agent, survives_being_killed_anywhere) {
  if (std::string{GetParam()} == "Node" && access("/usr/bin/node", X_OK) != 0)
    GTEST_SKIP() << "/usr/bin/node is not installed";
  auto result = run_python(std::string{"agents_kill_everywhere.py "} + GetParam());
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_NE(result.out.find("Ran 5 tests"), std::string::npos) << result.out;
}

INSTANTIATE_TEST_SUITE_P(agents, example_agent,
                         testing::Values("Wordcount", "Bash", "Node", "Cpp", "Pooled", "Probe"),
                         [](const auto& info) { return std::string{info.param}; });

class agent_scenarios : public testing::TestWithParam<const char*> {};

TEST_P(agent_scenarios, keep_to_the_protocol) {
  auto result = run_python(std::string{"agents_scenarios.py "} + GetParam());
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_EQ(result.out.find("Ran 0 tests"), std::string::npos) << result.out;
}

INSTANTIATE_TEST_SUITE_P(agents, agent_scenarios,
                         testing::Values("Failing", "Cancelled", "EveryExample", "Blobs",
                                         "SeveralRuns", "TheDriver", "Recipes", "Documentation"),
                         [](const auto& info) { return std::string{info.param}; });

} // namespace
