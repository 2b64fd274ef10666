// Goal: the example agents survive being killed at any line, and keep to the harness protocol. The
// work is done by agents_driver.py and its companions beside this file, without a server.

#include <cstdio>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

namespace {

struct outcome {
  int status = -1;
  std::string text;
};

/// Runs a companion with Debian's Python, as the sandbox would; its output is in `text`.
outcome run_python(const std::string& arguments) {
  auto command = "cd '" RUNLEDGER_SOURCE_DIR
                 "/tests/integration' && PYTHONPATH= /usr/bin/python3 -B "
                 + arguments + " 2>&1";
  outcome result;
  auto pipe = popen(command.c_str(), "r");
  if (pipe == nullptr)
    return result;
  char chunk[4096];
  for (std::size_t count; (count = fread(chunk, 1, sizeof chunk, pipe)) > 0;)
    result.text.append(chunk, count);
  result.status = pclose(pipe);
  return result;
}

class example_agent : public testing::TestWithParam<const char*> {};

TEST_P(example_agent, survives_being_killed_anywhere) {
  if (std::string{GetParam()} == "Node" && access("/usr/bin/node", X_OK) != 0)
    GTEST_SKIP() << "/usr/bin/node is not installed";
  auto result = run_python(std::string{"agents_kill_everywhere.py "} + GetParam());
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_NE(result.text.find("Ran 5 tests"), std::string::npos) << result.text;
}

INSTANTIATE_TEST_SUITE_P(agents, example_agent,
                         testing::Values("Wordcount", "Bash", "Node", "Cpp", "Pooled", "Probe"),
                         [](const auto& info) { return std::string{info.param}; });

class agent_scenarios : public testing::TestWithParam<const char*> {};

TEST_P(agent_scenarios, keep_to_the_protocol) {
  auto result = run_python(std::string{"agents_scenarios.py "} + GetParam());
  EXPECT_EQ(result.status, 0) << result.text;
  EXPECT_EQ(result.text.find("Ran 0 tests"), std::string::npos) << result.text;
}

INSTANTIATE_TEST_SUITE_P(agents, agent_scenarios,
                         testing::Values("Failing", "Cancelled", "EveryExample", "Blobs",
                                         "SeveralRuns", "TheDriver", "Recipes", "Documentation"),
                         [](const auto& info) { return std::string{info.param}; });

} // namespace
