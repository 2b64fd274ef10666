// Goal: an agent that is killed at any line of its talk with the real server ends as an unharmed
// one does: nothing is lost, nothing is counted twice.

#include "tests/integration/contract_world.hpp"

#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <set>
#include <sstream>

namespace runledger::contract {

namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

// The word count and the server exchange some 35 lines; a run whose place is beyond is unharmed.
constexpr int kill_lines = 60;

class killed_agents : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(w.start());
    std::filesystem::create_directory(w.folder / "effects");
  }

  /// The word count, killed after this line of its first attempt.
  std::string killed_at(int line) const {
    std::string files;
    for (const char* path :
         {"examples/agents/wordcount/wordcount.py", "examples/agents/wordcount/ballad.txt",
          "examples/agents/python/runledger_agent.py", "tests/support/kill_at.py"})
      files += (files.empty() ? "" : ",")
               + json_quoted(std::filesystem::path{path}.filename().string()) + ':'
               + json_quoted(test::read_whole_file(std::string{RUNLEDGER_SOURCE_DIR "/"} + path));
    return R"({"harness":{"kind":"process","files":{)" + files + R"(},"mounts":[{"source":)"
           + json_quoted(w.folder / "effects")
           + R"(,"target":"/effects","mode":"rw"}],"command":["python3","/agent/kill_at.py",")"
           + std::to_string(line)
           + R"(","python3","/agent/wordcount.py"]},"retry":{"initial_backoff_ms":20}})";
  }

  std::string start(int line) const {
    const auto slug = "killed-at-" + std::to_string(line);
    w.make_agent(slug, killed_at(line));
    auto asking = w.client();
    const auto run =
        asking.post("/api/v1/agents/" + slug + "/runs", R"({"prompt":"file:ballad.txt"})");
    EXPECT_EQ(run.status, 201) << run.body;
    return run["id"];
  }

  /// How often each idempotency key was acted on: `{key: step attempts}`.
  std::map<std::string, std::vector<int>> effects_of(const std::string& run) const {
    std::map<std::string, std::vector<int>> out;
    std::istringstream lines{test::read_whole_file(w.folder / ("effects/" + run + ".log"))};
    std::string key;
    for (int attempt = 0; lines >> key >> attempt;)
      out[key].push_back(attempt);
    return out;
  }

  void expect_steps_once(const std::string& run, const std::vector<std::string>& items) const;
  void expect_as_unharmed(const http_answer& run, const http_answer& unharmed) const;

  world w{{"--runs.max-running", "4"}};
};

/// Each step is recorded once; it was executed at most once for each start, and not again after it
/// was done.
void killed_agents::expect_steps_once(const std::string& run,
                                      const std::vector<std::string>& items) const {
  const auto done = where(items, "type", "step_completed");
  EXPECT_EQ(column(done, "data.key"), "load,count-words,readability,top-words,write-report");
  auto effects = effects_of(run);
  EXPECT_EQ(effects.size(), 5U);
  for (const auto& step : done) {
    const auto& attempts = effects[run + '/' + json_at(step, "data.key")];
    ASSERT_FALSE(attempts.empty()) << step;
    EXPECT_EQ(std::to_string(attempts.back()), json_at(step, "data.attempt"));
    EXPECT_EQ(std::set<int>(attempts.begin(), attempts.end()).size(), attempts.size()) << step;
  }
}

void killed_agents::expect_as_unharmed(const http_answer& run, const http_answer& unharmed) const {
  for (const char* member : {"status", "result", "error", "cost_usd", "tokens_in", "tokens_out",
                             "steps_completed", "artifact_count"})
    EXPECT_EQ(run[member], unharmed[member]) << member;
  const auto items = w.timeline(run["session_id"]);
  expect_steps_once(run["id"], items);
  for (const char* type : {"checkpoint", "usage", "log", "assistant_message"})
    EXPECT_EQ(where(items, "type", type).size(), 1U) << type;
  std::vector<std::string> artifacts, ends;
  for (const auto& each : where(items, "type", "artifact_published"))
    artifacts.push_back(json_at(each, "data.name"));
  EXPECT_THAT(artifacts, UnorderedElementsAre("report.md", "words.csv"));
  for (const auto& each : where(items, "type", "run_status"))
    if (const auto status = json_at(each, "data.status"); status != "running")
      ends.push_back(status);
  EXPECT_THAT(ends, ElementsAre("succeeded"));
}

} // namespace

TEST_F(killed_agents, end_as_unharmed_ones_do) {
  std::vector<std::string> runs;
  for (int line = 1; line <= kill_lines; ++line)
    runs.push_back(start(line));
  const auto unharmed = w.end_of(runs.back());
  ASSERT_EQ(unharmed["status"], "succeeded") << unharmed.body;
  ASSERT_EQ(unharmed["attempt"], "1") << "it talks longer than it is killed";
  EXPECT_EQ(unharmed["artifact_count"], "2");
  EXPECT_NE(unharmed["tokens_in"], "0");
  int killed = 0;
  for (int line = 1; line <= kill_lines; ++line) {
    SCOPED_TRACE("killed at line " + std::to_string(line));
    const auto run = w.end_of(runs[static_cast<std::size_t>(line) - 1]);
    killed += run["attempt"] == "2" ? 1 : 0;
    EXPECT_LE(std::stoi(run["attempt"]), 2);
    expect_as_unharmed(run, unharmed);
  }
  EXPECT_GE(killed, 25);
}

} // namespace runledger::contract
