// Goal: a secret that is given by name reaches the agent and nothing else: no file that the server
// wrote, no answer, no log, no argument list.

#include "events/digest.hpp"
#include "tests/crash/world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

namespace runledger::crash {

namespace {

constexpr const char* agent = R"py(
import hashlib, os, time
import runledger_agent

def main(run):
    def look():
        open("/effects/looking", "w").close()
        time.sleep(run.initial_state["pause_ms"] / 1000)
        return [hashlib.sha256(os.environ[name].encode()).hexdigest() for name in ("ONE", "TWO")]
    return run.step("look", look)

runledger_agent.serve(main)
)py";

/// Processes whose argument list holds the text.
std::vector<std::string> argument_lists_with(const std::string& text) {
  std::vector<std::string> out;
  for (const auto& each : std::filesystem::directory_iterator{"/proc"})
    if (read_whole_file(each.path().string() + "/cmdline").find(text) != std::string::npos)
      out.push_back(each.path().string());
  return out;
}

TEST(secrets, are_written_nowhere) {
  world w;
  const std::string by_variable = "in-a-variable-6f1c02d7a9", by_file = "in-a-file-95be3f2210";
  std::ofstream{w.folder / "token"} << by_file << '\n';
  w.server.options().environment = {{"CRASH_TEST_SECRET", by_variable}};
  w.server.options().flags.insert(
      w.server.options().flags.end(),
      {"--secrets.FIRST.env", "CRASH_TEST_SECRET", "--secrets.SECOND.file", w.folder / "token"});
  std::ranges::replace(w.server.options().flags, "info", "trace");
  ASSERT_TRUE(w.start());
  const auto id = w.make_agent(
      "secrets",
      R"({"harness":{"kind":"process","command":["python3","/agent/agent.py"],"files":{"agent.py":)"
          + json_quoted(agent) + R"(,"runledger_agent.py":)"
          + json_quoted(
              read_whole_file(RUNLEDGER_SOURCE_DIR "/examples/agents/python/runledger_agent.py"))
          + R"(},"mounts":[{"source":)" + json_quoted(w.effects())
          + R"(,"target":"/effects","mode":"rw"}]},)"
            R"("env":{"ONE":{"secret":"FIRST"},"TWO":{"secret":"SECOND"}}})");
  const auto told = '[' + json_quoted(to_hex(sha256(by_variable))) + ','
                    + json_quoted(to_hex(sha256(by_file))) + ']';
  const auto first = w.run_to_end(id, R"({"initial_state":{"pause_ms":0}})");
  ASSERT_EQ(first["status"], "succeeded") << first.body;
  std::string result = first["result"];
  std::erase(result, ' ');
  EXPECT_EQ(result, told) << "the agent did not get its secrets";
  std::filesystem::remove(w.effects() + "/looking");
  const auto second =
      w.client().post("/api/v1/agents/" + id + "/runs", R"({"initial_state":{"pause_ms":2000}})");
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(w.effects() + "/looking"); }));
  for (const auto& secret : {by_variable, by_file})
    EXPECT_TRUE(argument_lists_with(secret).empty()) << "an argument list holds " << secret;
  w.server.kill(); // What is in the WAL stays there.
  std::vector<std::string> problems;
  for (const auto& secret : {by_variable, by_file}) {
    EXPECT_TRUE(files_with(w.data(), secret).empty()) << some_of(files_with(w.data(), secret));
    EXPECT_EQ(w.server.printed().find(secret), std::string::npos);
  }
  ASSERT_TRUE(w.start());
  EXPECT_EQ(w.await_end_of(second["id"])["status"], "succeeded");
  auto asking = w.client();
  auto answers = dump_answers(w, problems);
  for (const auto& target :
       {"/api/v1/agents/" + id + "/versions/1", "/api/v1/runs/" + second["id"] + "/log/events",
        std::string{"/metrics"}, "/api/v1/runs/" + second["id"] + "/explain"})
    answers += asking.get(target).body;
  EXPECT_TRUE(problems.empty()) << some_of(problems);
  EXPECT_NE(answers.find("FIRST"), std::string::npos) << "the name is public";
  ASSERT_EQ(w.server.stop()->code, 0);
  for (const auto& secret : {by_variable, by_file}) {
    EXPECT_EQ(answers.find(secret), std::string::npos);
    EXPECT_EQ(w.server.printed().find(secret), std::string::npos);
    EXPECT_TRUE(files_with(w.data(), secret).empty()) << some_of(files_with(w.data(), secret));
  }
}

} // namespace

} // namespace runledger::crash
