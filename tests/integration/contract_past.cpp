#include "tests/integration/contract_world.hpp"

/// `?as_of=`: runs, sessions and sums as they were.
namespace runledger::contract {

namespace {

std::string run_of(const http_answer& run, const std::string& point) {
  return "/api/v1/runs/" + run["id"] + "?as_of=" + point;
}
std::string session_of(const http_answer& run, const std::string& point) {
  return "/api/v1/sessions/" + run["session_id"] + "?as_of=" + point;
}

} // namespace

TEST(contract_past, a_run_through_its_life) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["step","a"],["usage",0.25,10,1]])");
  ASSERT_EQ(run["status"], "succeeded");
  EXPECT_EQ(asking.get(run_of(run, "seq:0"))["status"], "pending");
  const auto begun = asking.get(run_of(run, "1"));
  EXPECT_EQ(member_names(begun.body), member_names(run.body));
  EXPECT_EQ(begun["status"], "running");
  EXPECT_EQ(begun["steps_completed"], "0");
  EXPECT_EQ(begun["cost_usd"], "0");
  EXPECT_EQ(begun["result"], "null");
  EXPECT_EQ(begun["finished_at"], "null");
  EXPECT_EQ(begun["started_at"], run["started_at"]);
  EXPECT_EQ(asking.get(run_of(run, "seq:1")).body, begun.body);
  for (const std::string point : {"1000", "seq:1000", "offset:100000000", "2100-01-01T00:00:00Z"})
    EXPECT_EQ(asking.get(run_of(run, point)).body, run.body) << point;
  EXPECT_EQ(asking.get(run_of(run, run["finished_at"])).body, run.body);
  expect_problem(asking.get(run_of(run, "2020-01-01T00:00:00Z")), 404, "not_found");
  expect_problem(asking.get(run_of(run, "offset:0")), 404, "not_found");
}

TEST(contract_past, a_session_with_its_runs) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["step","a"]])");
  const auto target = "/api/v1/sessions/" + run["session_id"];
  const auto ends_known = [&](int count) {
    return eventually(
        [&] { return w.events_of("session.turn_ended", run["session_id"]) == count; });
  };
  ASSERT_TRUE(ends_known(1)); // It follows the run's answer.
  asking.post(target + "/messages", R"({"message":"more"})", {{"Prefer", "wait=30"}});
  ASSERT_TRUE(ends_known(2));
  // The file shows a group a moment before the server does, which waits until it is durable.
  EXPECT_TRUE(eventually(
      [&] { return asking.get(session_of(run, "1000")).body == asking.get(target).body; }));
  const auto first = asking.get(session_of(run, "1"));
  EXPECT_EQ(json_elements(first["runs"]).size(), 1U);
  EXPECT_EQ(first["runs.0.status"], "pending");
  EXPECT_EQ(first["last_activity_at"], first["created_at"]);
  const auto ended = asking.get(session_of(run, "2")); // The turn's end: its run has ended.
  EXPECT_EQ(ended["runs.0.status"], "succeeded");
  EXPECT_EQ(json_elements(asking.get(session_of(run, "3"))["runs"]).size(), 2U);
  expect_problem(asking.get(session_of(run, "0")), 404, "not_found");
  expect_problem(asking.get(session_of(run, "2020-01-01T00:00:00Z")), 404, "not_found");
}

TEST(contract_past, sums_of_a_moment) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("past");
  const auto agent = w.make_agent(slug, w.recipe({}, true));
  const auto first = w.finish(R"([["usage",0.5,10,1]])", slug);
  const auto second = w.finish(R"([["usage",0.25,5,2]])", slug);
  const auto mine = [&](const std::string& query) {
    const auto answer = asking.get("/api/v1/analytics/agents?" + query);
    EXPECT_EQ(answer.status, 200) << answer.body;
    const auto found = where(json_elements(answer["agents"]), "agent_id", agent);
    return found.empty() ? std::string{"none"}
                         : json_at(found[0], "runs") + ' ' + json_at(found[0], "succeeded") + ' '
                               + json_at(found[0], "cost_usd");
  };
  EXPECT_EQ(mine("as_of=" + first["finished_at"]), "1 1 0.5");
  EXPECT_EQ(mine("as_of=" + second["finished_at"]), "2 2 0.75");
  EXPECT_EQ(mine("as_of=offset:100000000"), "2 2 0.75");
  EXPECT_EQ(mine("as_of=offset:0"), "none");
  EXPECT_EQ(mine("as_of=2100-01-01T00:00:00Z"), "none") << "the 30 days before that";
  EXPECT_EQ(mine("as_of=2100-01-01T00:00:00Z&start=" + first["created_at"]), "2 2 0.75");
  EXPECT_EQ(mine("as_of=2100-01-01T00:00:00Z&start=" + second["created_at"]), "1 1 0.25");
}

TEST(contract_past, nonsense_is_refused_with_its_place) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["step","a"]])");
  const std::string place = R"(["query","as_of"])";
  for (const std::string point : {"yesterday", "seq:", "seq:x", "-1", "1.5", "offset:-1",
                                  "2026-01-31", "offset:99999999999999999999"}) {
    expect_invalid(asking.get(run_of(run, point)), place);
    expect_invalid(asking.get(session_of(run, point)), place);
    expect_invalid(asking.get("/api/v1/analytics/agents?as_of=" + point), place);
  }
  expect_invalid(asking.get("/api/v1/analytics/agents?as_of=seq:1"), place);
  expect_invalid(asking.get("/api/v1/analytics/agents?as_of=12"), place);
}

TEST(contract_past, another_workspace_sees_nothing) {
  auto& w = shared_world();
  const auto run = w.finish(R"([["step","a"]])");
  auto stranger = w.client(w.make_key(R"("read")", w.make_workspace()));
  expect_problem(stranger.get(run_of(run, "1")), 404, "not_found");
  expect_problem(stranger.get(session_of(run, "1")), 404, "not_found");
  EXPECT_EQ(stranger.get("/api/v1/analytics/agents?as_of=offset:100000000")["total.runs"], "0");
  expect_problem(stranger.get("/api/v1/runs/run_none?as_of=1"), 404, "not_found");
}

} // namespace runledger::contract
