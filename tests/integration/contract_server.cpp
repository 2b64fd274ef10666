#include "tests/integration/contract_world.hpp"
#include "tests/support/shell.hpp"

/// What belongs to the server as a whole: health, workers, commits, the reference's calls.
namespace runledger::contract {

namespace {

/// Waits until nothing is written any more; the number of events and of commits.
std::pair<int, int> settled(http_client& asking) {
  std::pair<int, int> now{-1, -1}, last;
  int same = 0;
  eventually([&] {
    last = now;
    now = {static_cast<int>(metric(asking, "runledger_ledger_appended_events_total")),
           static_cast<int>(metric(asking, "runledger_ledger_append_groups_total"))};
    same = now == last ? same + 1 : 0;
    return same == 20;
  });
  return now;
}

/// What a shell prints.
std::string printed_by(const std::string& command) {
  return test::shell_apart(command).out;
}

} // namespace

TEST(contract_server, health_needs_no_key) {
  auto& w = shared_world();
  http_client nobody{w.server.port()};
  EXPECT_EQ(nobody.get("/livez").status, 200);
  EXPECT_EQ(nobody.get("/readyz").status, 200);
  const auto metrics = nobody.get("/metrics");
  EXPECT_EQ(metrics.status, 200);
  EXPECT_EQ(metrics.header("Content-Type").substr(0, 10), "text/plain");
  EXPECT_EQ(metric(nobody, "runledger_ready"), 1);
  const auto api = nobody.get("/openapi.json");
  EXPECT_EQ(api.status, 200);
  EXPECT_EQ(api.header("Content-Type"), "application/json");
  EXPECT_EQ(nobody.ask("HEAD", "/livez").status, 200);
}

TEST(contract_server, workers_and_projections_are_arrays) {
  auto& w = shared_world();
  auto asking = w.client();
  w.finish("[]");
  const auto workers = json_elements(asking.get("/api/v1/workers").body);
  ASSERT_FALSE(workers.empty());
  expect_id(json_at(workers[0], "id"), "wrk_");
  const auto projections = json_elements(asking.get("/api/v1/admin/projections").body);
  ASSERT_FALSE(projections.empty());
  for (const auto& each : projections) {
    EXPECT_EQ(member_names(each), "name,position,lag,state,parked");
    EXPECT_EQ(json_at(each, "parked"), "[]");
  }
}

TEST(contract_server, events_and_commits_per_request) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto expect = [&](const char* what, int events, int commits, const auto& act) {
    const auto before = settled(asking);
    act();
    const auto after = settled(asking);
    EXPECT_EQ(after.first - before.first, events) << what;
    EXPECT_LE(after.second - before.second, commits) << what;
  };
  std::string agent, key, session, run;
  w.finish("[]"); // Its process is up, its worker known.
  expect("POST /agents", 2, 2,
         [&] { agent = asking.post("/api/v1/agents", R"({"name":"counted"})")["id"]; });
  expect("POST versions", 1, 1, [&] {
    asking.post("/api/v1/agents/counted/versions", R"({"recipe":)" + w.recipe() + "}");
  });
  expect("PATCH version", 1, 1, [&] {
    asking.ask("PATCH", "/api/v1/agents/counted/versions/1", R"({"status":"active"})");
  });
  expect("POST /keys", 1, 1,
         [&] { key = asking.post("/api/v1/keys", R"({"name":"x","scopes":["read"]})")["id"]; });
  expect("DELETE /keys", 1, 1, [&] { asking.ask("DELETE", "/api/v1/keys/" + key); });
  expect("POST /workspaces", 1, 1, [&] { asking.post("/api/v1/workspaces", R"({"name":"x"})"); });
  // Accepted, started, three steps of two events, succeeded, the session's turn end.
  expect("a run of three steps", 10, 10, [&] {
    const auto ended = w.finish(R"([["step","a"],["step","b"],["step","c"]])");
    session = ended["session_id"];
    EXPECT_EQ(w.events_of("", ended["id"]), 8);
  });
  // Accepted, started, a step of two events, a message, succeeded, the session's turn end.
  expect("a turn", 7, 7, [&] {
    run = asking.post("/api/v1/sessions/" + session + "/messages", R"({"message":"x"})",
                      {{"Prefer", "wait=20"}})["run_id"];
    EXPECT_EQ(w.end_of(run)["status"], "succeeded");
  });
  expect("cancel of an idle session", 2, 2,
         [&] { asking.post("/api/v1/sessions/" + session + "/cancel", ""); });
  expect("cancel again", 0, 0, [&] {
    EXPECT_EQ(asking.post("/api/v1/sessions/" + session + "/cancel", "").status, 202);
  });
  expect("reads", 0, 0, [&] {
    for (const char* each :
         {"/runs", "/sessions", "/agents", "/workers", "/keys", "/analytics/agents"})
      EXPECT_EQ(asking.get("/api/v1" + std::string{each}).status, 200) << each;
  });
}

TEST(contract_server, the_reference_s_calls) {
  auto& w = shared_world();
  const auto recipe =
      w.recipe(R"(,"state_schema":{"type":"object","required":["subject","body"]})");
  w.make_agent("support-triage", recipe);
  for (int n = 0; n < 2; ++n) {
    w.client().post("/api/v1/agents/support-triage/versions", R"({"recipe":)" + recipe + "}");
    w.client().ask("PATCH", "/api/v1/agents/support-triage/versions/" + std::to_string(n + 2),
                   R"({"status":"active"})");
  }
  const auto agent = w.client().get("/api/v1/agents/support-triage")["id"];
  const auto base = "export S=http://127.0.0.1:" + std::to_string(w.server.port())
                    + " LEVAIN_API_KEY=" + w.key + " AGENT_ID=" + agent + "; ";
  const auto bare = printed_by(base + R"(curl -s -X POST $S/api/v1/agents/$AGENT_ID/runs \
-H "Authorization: Bearer $LEVAIN_API_KEY" \
-d '{ "prompt": "Summarise the latest weekly report" }')");
  EXPECT_EQ(json_at(bare, "status"), "pending") << bare;
  EXPECT_EQ(json_at(bare, "agent_version"), "3") << "the latest active one";
  const auto pinned =
      printed_by(base + R"(curl -s -X POST $S/api/v1/agents/$AGENT_ID/versions/3/runs \
-H "Authorization: Bearer $LEVAIN_API_KEY" \
-d '{ "prompt": "Summarise the latest weekly report" }')");
  EXPECT_EQ(json_at(pinned, "prompt"), "Summarise the latest weekly report") << pinned;
  const auto triage = printed_by(base + R"(curl -s -X POST $S/api/v1/agents/support-triage/runs \
  -H "Authorization: Bearer $LEVAIN_API_KEY" \
  -H "Content-Type: application/json" \
  -d '{
    "initial_state": {
      "subject": "Cannot access my account",
      "body": "I get a 403 every time I try to log in."
    }
  }')");
  const auto run = json_at(triage, "id"), session = json_at(triage, "session_id");
  EXPECT_EQ(json_at(triage, "initial_state.subject"), "Cannot access my account") << triage;
  EXPECT_EQ(w.end_of(run)["status"], "succeeded") << w.end_of(run).body;
  const auto ids = base + "export RUN_ID=" + run + " SESSION_ID=" + session + "; ";
  const auto shown = printed_by(ids + R"(curl -s $S/api/v1/runs/$RUN_ID \
  -H "Authorization: Bearer $LEVAIN_API_KEY")");
  EXPECT_EQ(json_at(shown, "status"), "succeeded");
  const auto log = printed_by(ids + R"(curl -s $S/api/v1/runs/$RUN_ID/log/events \
  -H "Authorization: Bearer $LEVAIN_API_KEY")");
  EXPECT_FALSE(json_elements(log).empty()) << log;
  const auto cancelled = printed_by(ids + R"(curl -s -X POST $S/api/v1/sessions/$SESSION_ID/cancel \
  -H "Authorization: Bearer $LEVAIN_API_KEY")");
  EXPECT_EQ(json_at(cancelled, "id"), session) << cancelled;
  const auto events = printed_by(ids + R"(curl -s $S/api/v1/sessions/$SESSION_ID/events \
  -H "Authorization: Bearer $LEVAIN_API_KEY")");
  EXPECT_EQ(json_at(events, "0.type"), "user_message") << "earlier events stay readable";
}

} // namespace runledger::contract
