// Goal: killed at a named point of the write path or of the views, the server comes back with
// exactly what was durable, and a client that asks again with its key finds out what that was.

#include "tests/crash/world.hpp"
#include "tests/support/checked_views.hpp"

#include <gtest/gtest.h>

#include <csignal>

namespace runledger::crash {

namespace {

class fail_point : public testing::TestWithParam<const char*> {
protected:
  struct call {
    std::string key, body;
    http_answer answer; ///< Status 0: lost.
  };

  std::string route() const { return "/api/v1/agents/" + agent_ + "/runs"; }

  /// Serves calls until the server kills itself at the nth passage of the point.
  void run_into(int nth) {
    world_.server.options().environment = {
        {"RUNLEDGER_FAIL_POINT", std::string{GetParam()} + ':' + std::to_string(nth)}};
    world_.server.launch();
    if (world_.server.await_ready()) {
      auto asking = world_.client();
      for (int i = 0; i < 40 && world_.server.running(); ++i) {
        call one{"nth-" + std::to_string(nth) + "-call-" + std::to_string(i),
                 R"({"initial_state":{"steps":2}})",
                 {}};
        one.answer =
            asking.post(route(), one.body, {{"Idempotency-Key", one.key}, {"Prefer", "wait=5"}});
        calls_.push_back(std::move(one));
        if (calls_.back().answer.status == 0)
          break;
      }
    }
    const auto end = world_.server.await_end(std::chrono::seconds{10});
    ASSERT_TRUE(end) << "the point " << GetParam() << " was never passed " << nth << " times";
    ASSERT_EQ(end->signal, SIGKILL) << world_.server.why();
  }

  /// The same call again says whether the lost one took effect.
  void find_out() {
    const auto before = read_ledger(world_.data());
    EXPECT_TRUE(before.problems.empty()) << some_of(before.problems);
    world_.server.options().environment.clear();
    ASSERT_TRUE(world_.start());
    auto asking = world_.client();
    for (auto& one : calls_) {
      const bool recorded = before.runs_of_key.contains(one.key);
      const auto again = asking.post(route(), one.body, {{"Idempotency-Key", one.key}});
      ASSERT_EQ(again.status, 201) << again.body;
      EXPECT_EQ(again.header("idempotent-replayed") == "true", recorded) << one.key;
      if (recorded) {
        EXPECT_TRUE(before.runs_of_key.at(one.key).contains(again["id"])) << again.body;
      }
      if (one.answer.status == 201) {
        EXPECT_TRUE(recorded) << "acknowledged and lost: " << one.answer.body;
        EXPECT_EQ(again["id"], one.answer["id"]);
      }
      one.answer = again;
    }
    ASSERT_TRUE(world_.drained());
  }

  void check_everything() {
    const auto ledger = read_ledger(world_.data());
    auto wrong = check_effects(world_.effects() + "/pooled", ledger, agent_);
    wrong.insert(wrong.end(), ledger.problems.begin(), ledger.problems.end());
    for (const auto& [run, story] : ledger.runs)
      if (story.terminals != 1 || story.types.back() != "succeeded"
          || story.completed_times.size() != 2)
        wrong.push_back(run + " has " + std::to_string(story.terminals) + " terminal events, "
                        + std::to_string(story.completed_times.size()) + " steps");
    auto asking = world_.client();
    for (const auto& one : calls_)
      if (const auto now = asking.get("/api/v1/runs/" + one.answer["id"]);
          now["status"] != "succeeded" || now["steps_completed"] != "2")
        wrong.push_back(one.key + ": " + now.body);
    EXPECT_TRUE(wrong.empty()) << some_of(wrong);
  }

  world world_;
  std::string agent_;
  std::vector<call> calls_;
};

TEST_P(fail_point, leaves_what_was_durable) {
  ASSERT_TRUE(world_.start());
  agent_ = world_.make_agent("pooled", pooled_recipe(world_));
  ASSERT_EQ(world_.run_to_end(agent_, R"({"initial_state":{"steps":2}})")["status"], "succeeded");
  for (int nth : {1, 2, 3, 5, 9, 16}) {
    world_.server.kill();
    ASSERT_NO_FATAL_FAILURE(run_into(nth));
    ASSERT_NO_FATAL_FAILURE(find_out());
  }
  check_everything();
}

INSTANTIATE_TEST_SUITE_P(points, fail_point,
                         testing::Values("before_append", "after_append", "before_answer",
                                         "after_answer", "view_before_commit", "view_after_commit"),
                         [](const auto& info) { return std::string{info.param}; });

// Goal: a server that is killed while rebuilt views take the place of the live ones comes back with
// views that are what the ledger says, and with the same answers.
TEST(killed_in_a_rebuild, views_are_right) {
  world w;
  ASSERT_TRUE(w.start());
  const auto agent = w.make_agent("pooled", pooled_recipe(w));
  const auto run = w.run_to_end(agent, R"({"initial_state":{"steps":2}})");
  ASSERT_EQ(run["status"], "succeeded");
  for (const char* point : {"view_before_switch", "view_in_switch"}) {
    ASSERT_TRUE(w.server.stop());
    w.server.options().environment = {{"RUNLEDGER_FAIL_POINT", point}};
    ASSERT_TRUE(w.start());
    w.client().post("/api/v1/admin/projections/runs/rebuild", ""); // May be lost.
    const auto end = w.server.await_end(std::chrono::seconds{30});
    ASSERT_TRUE(end) << point;
    ASSERT_EQ(end->signal, SIGKILL) << w.server.why();
    EXPECT_EQ(views_difference(w.data()), "") << point;
    w.server.options().environment.clear();
    ASSERT_TRUE(w.start());
    EXPECT_EQ(w.client().get("/api/v1/runs/" + run["id"]).body, run.body) << point;
  }
}

} // namespace

} // namespace runledger::crash
