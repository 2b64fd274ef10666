// Goal: a server that ended in the middle, in whatever way, takes all unfinished work up again,
// whatever state its views are in, and leaves no process behind.

#include "tests/crash/world.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace runledger::crash {

namespace fs = std::filesystem;

namespace {

/// Processes whose environment names the run.
std::vector<pid_t> processes_of(const std::string& run) {
  std::vector<pid_t> out;
  for (const auto& each : fs::directory_iterator{"/proc"}) {
    const auto pid = std::atoi(each.path().filename().c_str());
    if (pid > 0
        && read_whole_file(each.path().string() + "/environ").find("RUNLEDGER_RUN_ID=" + run)
               != std::string::npos)
      out.push_back(pid);
  }
  return out;
}

class recovery : public testing::Test {
protected:
  /// Starts a run without waiting for its end; its id.
  std::string begin(const std::string& agent, const std::string& body) {
    const auto made = world_.client().post("/api/v1/agents/" + agent + "/runs", body);
    EXPECT_EQ(made.status, 201) << made.body;
    return made["id"];
  }

  bool has_steps(const std::string& run, int count) {
    auto asking = world_.client();
    return eventually([&] {
      return std::atoi(asking.get("/api/v1/runs/" + run)["steps_completed"].c_str()) >= count;
    });
  }

  /// Whether an execution of this step has begun in the agent itself.
  bool is_executing(const std::string& run, const std::string& key) {
    return eventually([&] {
      return read_whole_file(world_.effects() + "/steps").find(run + '/' + key + ' ')
             != std::string::npos;
    });
  }

  void remove_views() {
    for (const char* name : {"/views.db", "/views.db-wal", "/views.db-shm", "/views.db.clean"})
      fs::remove(world_.data() + name);
  }

  world world_;
};

// Goal: the demonstration: the agent that measures a text is killed together with its server and
// ends with the result and the artifacts of an undisturbed run.
TEST_F(recovery, finishes_the_word_count) {
  ASSERT_TRUE(world_.start());
  const auto made = world_.client().post("/api/v1/agents", example_agent("wordcount"));
  ASSERT_EQ(made.status, 201) << made.body;
  const auto undisturbed =
      world_.run_to_end("wordcount", R"({"initial_state":{"file":"ballad.txt"}})");
  ASSERT_EQ(undisturbed["status"], "succeeded") << undisturbed.body;
  const auto run = begin("wordcount", R"({"initial_state":{"file":"ballad.txt","pause_ms":200}})");
  ASSERT_TRUE(has_steps(run, 2));
  world_.server.kill();
  const auto at_death = read_ledger(world_.data());
  ASSERT_TRUE(world_.start());
  const auto ended = world_.await_end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["attempt"], "2");
  EXPECT_EQ(ended["result"], undisturbed["result"]);
  auto asking = world_.client();
  const auto artifacts = asking.get("/api/v1/runs/" + run + "/artifacts");
  ASSERT_EQ(json_elements(artifacts.body).size(), 2u) << artifacts.body;
  const auto first = asking.get("/api/v1/artifacts/" + artifacts["0.id"]);
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(std::to_string(first.body.size()), artifacts["0.size"]);
  const auto story = read_ledger(world_.data());
  EXPECT_TRUE(story.problems.empty()) << some_of(story.problems);
  EXPECT_EQ(story.runs.at(run).completed_times.size(), 5u);
  for (const auto& [key, attempt] : at_death.runs.at(run).completed_attempt)
    EXPECT_EQ(story.runs.at(run).started_attempts.at(key).size(), 1u) << key << " was repeated";
}

enum class views_are { deleted, garbage, behind, torn };

class views_after_a_kill : public recovery, public testing::WithParamInterface<views_are> {
protected:
  void damage() {
    const auto path = world_.data() + "/views.db";
    switch (GetParam()) {
      case views_are::deleted:
        return remove_views();
      case views_are::garbage:
        remove_views();
        std::ofstream{path} << std::string(70'000, 'g');
        return;
      case views_are::behind:
        remove_views();
        for (const auto& name : old_views_)
          fs::copy_file(world_.folder / ("old-" + name), world_.data() + '/' + name);
        return;
      case views_are::torn:
        fs::remove(path + "-wal");
        fs::remove(path + "-shm");
        fs::resize_file(path, fs::file_size(path) / 2);
    }
  }

  void keep_old_views() {
    for (const std::string name : {"views.db", "views.db.clean"})
      if (fs::exists(world_.data() + '/' + name)) {
        fs::copy_file(world_.data() + '/' + name, world_.folder / ("old-" + name));
        old_views_.push_back(name);
      }
  }

  std::vector<std::string> old_views_;
};

TEST_P(views_after_a_kill, hide_no_work_and_answer_right) {
  ASSERT_TRUE(world_.start());
  const auto pooled = world_.make_agent("pooled", pooled_recipe(world_));
  const auto steps = world_.make_agent("steps", steps_recipe(world_));
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(world_.run_to_end(pooled, R"({"prompt":"3"})")["status"], "succeeded");
  ASSERT_EQ(world_.server.stop()->code, 0) << world_.server.why();
  keep_old_views();
  ASSERT_FALSE(old_views_.empty());
  ASSERT_EQ(old_views_.front(), "views.db");
  ASSERT_TRUE(world_.start());
  for (int i = 0; i < 4; ++i)
    ASSERT_EQ(world_.run_to_end(pooled, R"({"prompt":"2"})")["status"], "succeeded");
  std::vector<std::string> unfinished;
  for (int i = 0; i < 12; ++i) // More than there are slots: some are pending at the end.
    unfinished.push_back(begin(steps, R"({"initial_state":{"steps":3,"pause_ms":80}})"));
  ASSERT_TRUE(has_steps(unfinished.front(), 1));
  world_.server.kill();
  damage();
  ASSERT_TRUE(world_.start());
  for (const auto& run : unfinished)
    EXPECT_EQ(world_.await_end_of(run)["status"], "succeeded");
  ASSERT_TRUE(world_.drained());
  std::vector<std::string> problems;
  const auto answers = dump_answers(world_, problems);
  ASSERT_EQ(world_.server.stop()->code, 0) << world_.server.why();
  remove_views();
  ASSERT_TRUE(world_.start());
  EXPECT_EQ(answers, dump_answers(world_, problems));
  EXPECT_TRUE(problems.empty()) << some_of(problems);
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  const auto effects = check_effects(world_.effects() + "/steps", ledger, steps);
  EXPECT_TRUE(effects.empty()) << some_of(effects);
}

std::string name_of(const testing::TestParamInfo<views_are>& info) {
  constexpr const char* names[] = {"deleted", "garbage", "behind", "torn"};
  return names[static_cast<int>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(views, views_after_a_kill,
                         testing::Values(views_are::deleted, views_are::garbage, views_are::behind,
                                         views_are::torn),
                         name_of);

// Goal: SIGTERM lets what can end in time end, and what cannot goes on at the next start without
// having used up an attempt.
TEST_F(recovery, drains_on_sigterm) {
  world_.server.options().flags.insert(world_.server.options().flags.end(),
                                       {"--runs.drain-seconds", "1"});
  ASSERT_TRUE(world_.start());
  const auto steps = world_.make_agent("steps", steps_recipe(world_));
  const auto quick = begin(steps, R"({"initial_state":{"steps":1,"pause_ms":300}})");
  const auto slow = begin(steps, R"({"initial_state":{"steps":1,"pause_ms":2500}})");
  ASSERT_TRUE(is_executing(quick, "s1"));
  ASSERT_TRUE(is_executing(slow, "s1"));
  for (int times = 0; times < 3; ++times) { // Its recipe allows two attempts.
    const auto end = world_.server.stop(std::chrono::seconds{20});
    ASSERT_TRUE(end) << world_.server.why();
    EXPECT_EQ(end->code, 0) << world_.server.why();
    if (times == 0) {
      EXPECT_EQ(read_ledger(world_.data()).runs.at(quick).types.back(), "succeeded");
    }
    ASSERT_TRUE(world_.start());
    const auto again = slow + "/s1 " + std::to_string(times + 2);
    ASSERT_TRUE(eventually([&] {
      return read_whole_file(world_.effects() + "/steps").find(again) != std::string::npos;
    })) << "no execution "
        << again;
  }
  EXPECT_EQ(world_.await_end_of(quick)["attempt"], "1");
  const auto ended = world_.await_end_of(slow);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["attempt"], "4");
  const auto ledger = read_ledger(world_.data());
  EXPECT_TRUE(ledger.problems.empty()) << some_of(ledger.problems);
  EXPECT_EQ(ledger.runs.at(slow).counted_attempts, 0);
}

// Goal: what a killed server's harnesses left running is gone after the next start, with a sandbox
// and without.
TEST_F(recovery, ends_what_a_killed_server_left_running) {
  world_.server.options().flags.insert(world_.server.options().flags.end(),
                                       {"--sandbox.allow-none", "true"});
  ASSERT_TRUE(world_.start());
  const auto boxed = world_.make_agent("boxed", rude_recipe({"ready", "orphan", "hang"}));
  const auto bare = world_.make_agent(
      "bare", R"({"harness":{"kind":"process","sandbox":"none","command":["python3",)"
                  + json_quoted(RUNLEDGER_SOURCE_DIR "/tests/support/rude_harness.py")
                  + R"(,"ready","orphan","deaf","hang"]}})");
  const std::vector<std::string> runs = {begin(boxed, R"({"prompt":"x"})"),
                                         begin(bare, R"({"prompt":"x"})")};
  std::vector<pid_t> old;
  for (const auto& run : runs) {
    std::vector<pid_t> here;
    ASSERT_TRUE(eventually([&] { return (here = processes_of(run)).size() >= 2; })) << run;
    old.insert(old.end(), here.begin(), here.end());
  }
  world_.server.kill();
  ASSERT_TRUE(world_.start());
  EXPECT_TRUE(eventually([&] {
    for (const auto& run : runs)
      for (auto pid : processes_of(run))
        if (std::ranges::find(old, pid) != old.end())
          return false;
    return true;
  })) << "processes of the killed server go on";
  auto asking = world_.client();
  for (const auto& run : runs) {
    const auto now = asking.get("/api/v1/runs/" + run);
    EXPECT_EQ(now["status"], "running") << now.body;
    EXPECT_EQ(asking.post("/api/v1/sessions/" + now["session_id"] + "/cancel", "{}").status, 202);
  }
}

} // namespace

} // namespace runledger::crash
