// Goal: whatever a harness does, its run ends once and as the contract says, and the server goes on
// serving.

#include "tests/crash/world.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace runledger::crash {

namespace {

struct fault {
  const char* name;
  std::vector<std::string> arguments;
  const char* status;
  const char* code; ///< Of the run's error; "": none.
  int attempts;
  const char* harness_more = "";
};

constexpr const char* result_line = R"(line={"type":"result","output":{"ok":true}})";
constexpr const char* step_start = R"(line={"type":"step.start","key":"a"})";
constexpr const char* impatient = R"(,"heartbeat_seconds":1)";

/// Harnesses that break the protocol.
std::vector<fault> protocol_breaches() {
  return {
      {"garbage",
       {"ready", "await=run.start", "line=this is no JSON"},
       "failed",
       "protocol_error",
       2},
      {"bytes",
       {"ready", "await=run.start", "raw=\\xff\\xfe\\x00\\n"},
       "failed",
       "protocol_error",
       2},
      {"long_line",
       {"ready", "await=run.start", "big=1500000", "hang"},
       "failed",
       "protocol_error",
       2},
      {"unknown_type",
       {"ready", "await=run.start", R"(line={"type":"surprise"})", "hang"},
       "failed",
       "protocol_error",
       2},
      {"foreign_run",
       {"ready", "await=run.start",
        R"(line={"type":"result","run":"run_01ARZ3NDEKTSV4RRFFQ69G5FAV","output":1})", "hang"},
       "failed",
       "protocol_error",
       2},
      {"no_ready_first", {result_line, "hang"}, "failed", "protocol_error", 2},
      {"done_without_start",
       {"ready", "await=run.start", R"(line={"type":"step.done","key":"a","output":1})", "hang"},
       "failed",
       "protocol_error",
       2},
      {"started_twice",
       {"ready", "await=run.start", step_start, step_start, "hang"},
       "failed",
       "protocol_error",
       2},
  };
}

/// Harnesses that end, or do not, in ways of their own; each is tried in two attempts at most.
std::vector<fault> strange_ends() {
  return {
      {"no_result", {"ready", "await=run.start", "exit=0"}, "failed", "no_result", 2},
      {"no_result_after_a_step",
       {"ready", "await=run.start", step_start, "await=step.", "exit=0"},
       "failed",
       "no_result",
       2},
      {"exit_3", {"ready", "await=run.start", "exit=3"}, "failed", "harness_exited", 2},
      {"silent", {"ready", "await=run.start", "hang"}, "failed", "heartbeat_lost", 2, impatient},
      {"silent_and_deaf",
       {"deaf", "ready", "await=run.start", "orphan", "hang"},
       "failed",
       "heartbeat_lost",
       2,
       impatient},
      {"forks",
       {"ready", "await=run.start", "forks=400", result_line},
       "succeeded",
       "",
       1,
       R"(,"resources":{"processes":40})"},
      {"orphan", {"ready", "await=run.start", "orphan", result_line}, "succeeded", "", 1},
      {"garbage_after_the_result",
       {"ready", "await=run.start", result_line, "line=garbage"},
       "succeeded",
       "",
       1},
      {"two_results",
       {"ready", "await=run.start", result_line,
        R"(line={"type":"error","message":"and yet","retryable":true})", result_line},
       "succeeded",
       "",
       1},
      {"final_error",
       {"ready", "await=run.start", R"(line={"type":"error","message":"no"})"},
       "failed",
       "",
       1},
  };
}

class harness_fault : public testing::Test {
protected:
  std::string begin(const fault& f) {
    const auto agent = world_.make_agent(
        f.name, rude_recipe(f.arguments, R"(,"retry":{"max_attempts":2,"initial_backoff_ms":10})",
                            f.harness_more));
    const auto made =
        world_.client().post("/api/v1/agents/" + agent + "/runs", R"({"prompt":"x"})");
    EXPECT_EQ(made.status, 201) << made.body;
    return made["id"];
  }

  world world_;
};

TEST_F(harness_fault, ends_its_run_as_the_contract_says) {
  ASSERT_TRUE(world_.start());
  auto all = protocol_breaches();
  for (auto& each : strange_ends())
    all.push_back(std::move(each));
  std::vector<std::string> runs;
  for (const auto& each : all)
    runs.push_back(begin(each));
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(all[i].name);
    const auto ended = world_.await_end_of(runs[i], std::chrono::seconds{60});
    EXPECT_EQ(ended["status"], all[i].status) << ended.body;
    EXPECT_EQ(ended["attempt"], std::to_string(all[i].attempts)) << ended.body;
    if (*all[i].code != '\0') {
      EXPECT_EQ(ended["error.code"], all[i].code) << ended.body;
    }
  }
  ASSERT_TRUE(world_.drained());
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  for (const auto& run : runs)
    EXPECT_EQ(ledger.runs.at(run).terminals, 1);
}

// Goal: a harness that writes without end is ended after a few thousand lines, and others do not
// notice.
TEST_F(harness_fault, flood_leaves_the_server_answering) {
  ASSERT_TRUE(world_.start());
  const auto agent = world_.make_agent(
      "flood", rude_recipe({"ready", "await=run.start",
                            R"(flood={"type":"log","level":"info","message":"more"})"},
                           R"(,"retry":{"max_attempts":1})"));
  const auto pooled = world_.make_agent("pooled", pooled_recipe(world_));
  auto asking = world_.client();
  const auto began = std::chrono::steady_clock::now();
  const auto run = asking.post("/api/v1/agents/" + agent + "/runs", R"({"prompt":"x"})");
  http_answer now;
  int served = 0;
  ASSERT_TRUE(eventually([&] {
    served += world_.run_to_end(pooled, R"({"prompt":"1"})")["status"] == "succeeded" ? 1 : 0;
    now = asking.get("/api/v1/runs/" + run["id"]);
    return now["status"] == "failed";
  })) << now.body;
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
  EXPECT_GT(served, 0);
  EXPECT_EQ(now["error.code"], "protocol_error");
  EXPECT_NE(now["error.message"].find("too many lines: over 4000 at once or 2500 a second"),
            std::string::npos)
      << now.body;
  EXPECT_NE(now["error.message"].find("more"), std::string::npos) << "the line is quoted";
  ASSERT_TRUE(world_.drained());
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  const auto lines =
      static_cast<std::int64_t>(std::ranges::count(ledger.runs.at(run["id"]).types, "logged"));
  EXPECT_GE(lines, 3'900);
  EXPECT_LE(lines, 4'000 + 2'500 * (1 + seconds.count()));
}

// Goal: an agent that dies after its first line, then after its second, and so on, finishes, and
// does each step once for the record.
TEST_F(harness_fault, death_between_any_two_lines_repeats_nothing) {
  constexpr const char* dying = R"py(
import json, os, sys
left = int(os.environ["RUNLEDGER_ATTEMPT"]) - 1

def say(**frame):
    global left
    if left == 0:
        os._exit(9)
    left -= 1
    print(json.dumps(frame), flush=True)

def hear(*types):
    for line in sys.stdin:
        frame = json.loads(line)
        if frame["type"] in types:
            return frame
    sys.exit(1)

say(type="ready", protocol=1)
run = hear("run.start")["run"]
for key in ("s1", "s2", "s3"):
    say(type="step.start", key=key)
    answer = hear("step.go", "step.cached")
    if answer["type"] == "step.go":
        with open("/effects/steps", "a") as effects:
            effects.write(f"{run}/{key} {answer['attempt']}\n")
        say(type="step.done", key=key, output=key)
say(type="result", output="done")
sys.stdin.read()
)py";
  ASSERT_TRUE(world_.start());
  const auto agent = world_.make_agent(
      "dying",
      R"({"harness":{"kind":"process","command":["python3","/agent/dying.py"],"files":{"dying.py":)"
          + json_quoted(dying) + R"(},"mounts":[{"source":)" + json_quoted(world_.effects())
          + R"(,"target":"/effects","mode":"rw"}]},"retry":{"max_attempts":20,)"
            R"("initial_backoff_ms":5,"multiplier":1.0}})");
  const auto ended = world_.run_to_end(agent, R"({"prompt":"x"})", 60);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["steps_completed"], "3");
  EXPECT_GE(std::atoi(ended["attempt"].c_str()), 5) << ended.body;
  ASSERT_TRUE(world_.drained());
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  const auto effects = check_effects(world_.effects() + "/steps", ledger, agent);
  EXPECT_TRUE(effects.empty()) << some_of(effects);
}

} // namespace

} // namespace runledger::crash
