#include "tests/integration/contract_world.hpp"

#include <algorithm>
#include <set>
#include <thread>

/// Runs: their object, lists, waiting, limits, retries, costs.
namespace runledger::contract {

namespace {

std::string error_of(const http_answer& run) {
  return run["status"] + ' ' + run["error.code"] + ": " + run["error.message"];
}

} // namespace

TEST(contract_runs, a_run_has_its_members) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto made = asking.post(run_target, R"({"prompt":"hello"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string members =
      "id,run_id,session_id,status,kind,trigger,agent_id,agent_version,prompt,initial_state,result,"
      "error,cost_usd,tokens_in,tokens_out,attempt,steps_completed,artifact_count,parent_run_id,"
      "created_at,started_at,finished_at";
  EXPECT_EQ(member_names(made.body), members);
  expect_id(made["id"], "run_");
  expect_id(made["session_id"], "sess_");
  expect_time(made["created_at"]);
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, const char*>>{{"status", "pending"},
                                                        {"trigger", "manual"},
                                                        {"agent_version", "1"},
                                                        {"prompt", "hello"},
                                                        {"initial_state", "null"},
                                                        {"result", "null"},
                                                        {"error", "null"},
                                                        {"cost_usd", "0"},
                                                        {"tokens_in", "0"},
                                                        {"tokens_out", "0"},
                                                        {"attempt", "0"},
                                                        {"steps_completed", "0"},
                                                        {"artifact_count", "0"},
                                                        {"parent_run_id", "null"},
                                                        {"started_at", "null"},
                                                        {"finished_at", "null"}})
    EXPECT_EQ(made[name], value) << name;
  EXPECT_EQ(made["run_id"], made["id"]);
  const auto ended = w.end_of(made["id"]);
  EXPECT_EQ(member_names(ended.body), members);
  EXPECT_EQ(ended["status"], "succeeded");
  EXPECT_EQ(ended["result"], "hello");
  EXPECT_EQ(ended["attempt"], "1");
  EXPECT_EQ(ended["steps_completed"], "1");
  expect_time(ended["started_at"]);
  expect_time(ended["finished_at"]);
  EXPECT_LE(ended["created_at"], ended["started_at"]);
  EXPECT_LE(ended["started_at"], ended["finished_at"]);
  EXPECT_EQ(asking.get("/api/v1/runs/" + made["id"]).body, ended.body) << "immutable";
}

TEST(contract_runs, prompt_or_state) {
  auto asking = shared_world().client();
  expect_problem(asking.post(run_target, "{}"), 422, "validation_failed");
  EXPECT_EQ(asking.post(run_target, R"({"prompt":"x","initial_state":{}})").status, 422);
  expect_invalid(asking.post(run_target, R"({"prompt":1})"), R"(["body","prompt"])");
  expect_invalid(asking.post(run_target, R"({"initial_state":"x"})"),
                 R"(["body","initial_state"])");
  expect_problem(asking.post("/api/v1/agents/none/runs", R"({"prompt":"x"})"), 404,
                 "agent_not_found");
}

TEST(contract_runs, lists_filter_and_turn_their_pages) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("lists");
  const auto agent = w.make_agent(slug, w.recipe({}, true));
  std::vector<std::string> ids;
  for (int i = 0; i < 7; ++i) {
    ids.push_back(w.finish(i == 3 ? R"([["error","no"]])" : "[]", slug)["id"]);
  }
  const auto list = "/api/v1/runs?agent_id=" + agent;
  std::string newest_first;
  for (auto id = ids.rbegin(); id != ids.rend(); ++id)
    newest_first += (newest_first.empty() ? "" : ",") + *id;
  EXPECT_EQ(column(json_elements(asking.get(list).body), "id"), newest_first);
  EXPECT_EQ(asking.get(list).header("Link"), "");
  EXPECT_EQ(column(json_elements(asking.get("/api/v1/agents/" + slug + "/runs").body), "id"),
            newest_first);
  EXPECT_EQ(column(json_elements(asking.get(list + "&status=failed").body), "id"), ids[3]);
  EXPECT_EQ(json_elements(asking.get(list + "&status=succeeded").body).size(), 6U);
  EXPECT_EQ(asking.get(list + "&status=pending").body, "[]");
  EXPECT_EQ(json_elements(asking.get(list + "&trigger=manual").body).size(), 7U);
  EXPECT_EQ(asking.get(list + "&trigger=schedule").body, "[]");
  EXPECT_EQ(asking.get(list + "&kind=none").body, "[]");
  const auto session = asking.get("/api/v1/runs/" + ids[2])["session_id"];
  EXPECT_EQ(column(json_elements(asking.get("/api/v1/runs?session_id=" + session).body), "id"),
            ids[2]);
  // New runs do not move the pages that follow.
  std::string seen;
  for (auto target = list + "&limit=2"; !target.empty();) {
    const auto page = asking.get(target);
    ASSERT_EQ(page.status, 200) << target;
    EXPECT_LE(json_elements(page.body).size(), 2U);
    seen += (seen.empty() ? "" : ",") + column(json_elements(page.body), "id");
    target = next_page(page);
    w.begin("[]", slug);
  }
  EXPECT_EQ(seen, newest_first);
}

TEST(contract_runs, limits_and_cursors_have_bounds) {
  auto asking = shared_world().client();
  for (const char* list : {"/runs", "/agents", "/sessions", "/workers", "/keys", "/workspaces",
                           "/agents/told/runs", "/agents/told/versions"}) {
    const auto at = "/api/v1" + std::string{list};
    SCOPED_TRACE(at);
    for (const char* bad : {"0", "201", "-1", "x", "1.5", "99999999999999999999"})
      expect_invalid(asking.get(at + "?limit=" + bad), R"(["query","limit"])");
    EXPECT_EQ(asking.get(at + "?limit=1").status, 200);
    EXPECT_EQ(asking.get(at + "?limit=200").status, 200);
    expect_invalid(asking.get(at + "?cursor=%21nonsense"), R"(["query","cursor"])");
  }
  expect_invalid(asking.get("/api/v1/runs?status=done"), R"(["query","status"])");
  expect_invalid(asking.get("/api/v1/runs?trigger=x"), R"(["query","trigger"])");
}

TEST(contract_runs, prefer_waits) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto with = [&](const std::string& prefer, const std::string& script) {
    return asking.post(run_target, script_body(script), {{"Prefer", prefer}});
  };
  for (const auto& [prefer, applied] :
       std::vector<std::pair<const char*, const char*>>{{"wait=20", "wait=20"},
                                                        {"respond-async, wait=20", "wait=20"},
                                                        {"WAIT = \"20\"; x=y", "wait=20"},
                                                        {"wait=900", "wait=300"}}) {
    const auto ended = with(prefer, "[]");
    EXPECT_EQ(ended.status, 201);
    EXPECT_EQ(ended["status"], "succeeded") << prefer;
    EXPECT_EQ(ended.header("Preference-Applied"), applied) << prefer;
  }
  for (const char* ignored :
       {"wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "handling=strict"}) {
    const auto at_once = with(ignored, R"([["wait","never"]])");
    EXPECT_EQ(at_once.status, 201) << ignored;
    EXPECT_EQ(at_once["status"], "pending") << ignored;
    EXPECT_EQ(at_once.header("Preference-Applied"), "") << ignored;
    asking.post("/api/v1/sessions/" + at_once["session_id"] + "/cancel", "");
  }
  const auto in_vain = with("wait=1", R"([["wait","never"]])");
  EXPECT_EQ(in_vain["status"], "running");
  EXPECT_EQ(in_vain.header("Preference-Applied"), "wait=1");
  asking.post("/api/v1/sessions/" + in_vain["session_id"] + "/cancel", "");
  const auto first = w.finish("[]");
  const auto turn = asking.post("/api/v1/sessions/" + first["session_id"] + "/messages",
                                R"({"message":"x"})", {{"Prefer", "wait=20"}});
  EXPECT_EQ(turn.header("Preference-Applied"), "wait=20");
  EXPECT_EQ(turn["runs.1.status"], "succeeded") << turn.body;
}

TEST(contract_runs, a_cost_limit_stops_in_the_middle) {
  auto& w = shared_world();
  const auto slug = world::unique("cost");
  w.make_agent(slug, w.recipe(R"(,"limits":{"max_cost_usd":0.5})"));
  const auto run =
      w.finish(R"([["step","a"],["usage",0.5,1,2],["step","b"],["usage","0.02",3,4],["step","c"],)"
               R"(["wait","never"]])",
               slug);
  EXPECT_EQ(error_of(run), "failed cost_limit_exceeded: Cost limit exceeded: $0.52 > max $0.50");
  EXPECT_EQ(run["cost_usd"], "0.52");
  EXPECT_EQ(run["tokens_in"], "4");
  EXPECT_EQ(run["tokens_out"], "6");
  EXPECT_EQ(run["result"], "null");
  const auto fine = w.finish(R"([["usage",0.1234565,0,0],["usage",0.0000004,0,0]])", slug);
  EXPECT_EQ(fine["status"], "succeeded");
  EXPECT_EQ(fine["cost_usd"], "0.123457") << "each report is rounded half up";
  const auto small = w.finish(R"([["usage",0.500001,0,0],["wait","never"]])", slug);
  EXPECT_EQ(small["error.message"], "Cost limit exceeded: $0.500001 > max $0.50");
}

TEST(contract_runs, a_step_limit_stops_in_the_middle) {
  auto& w = shared_world();
  const auto slug = world::unique("steps");
  w.make_agent(slug, w.recipe(R"(,"limits":{"max_steps":2})"));
  EXPECT_EQ(w.finish(R"([["step","a"],["step","b"]])", slug)["status"], "succeeded");
  const auto run = w.finish(R"([["step","a"],["step","b"],["step","c"],["say","no"]])", slug);
  EXPECT_EQ(run["status"], "failed");
  EXPECT_EQ(run["error.code"], "step_limit_exceeded");
  EXPECT_EQ(run["steps_completed"], "2");
  EXPECT_TRUE(where(w.timeline(run["session_id"]), "type", "assistant_message").empty());
}

TEST(contract_runs, a_timeout_stops_in_the_middle) {
  auto& w = shared_world();
  const auto slug = world::unique("timeout");
  w.make_agent(slug, w.recipe(R"(,"limits":{"timeout_seconds":0.5})"));
  const auto run = w.finish(R"([["step","a"],["wait","never"],["step","b"]])", slug);
  EXPECT_EQ(run["status"], "failed");
  EXPECT_EQ(run["error.code"], "timeout");
  EXPECT_EQ(run["steps_completed"], "1");
}

TEST(contract_runs, steps_are_retried_with_back_off) {
  auto& w = shared_world();
  const auto slug = world::unique("retry");
  w.make_agent(slug, w.recipe({}, true));
  const auto run = w.finish(R"([["flaky","a",3]])", slug);
  EXPECT_EQ(run["status"], "succeeded") << run.body;
  EXPECT_EQ(run["attempt"], "1");
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(column(where(items, "type", "step_started"), "data.attempt"), "1,2,3,4");
  const auto retries = where(items, "type", "step_retrying");
  EXPECT_EQ(column(retries, "data.delay_ms"), "10,20,40") << "doubled each time, no jitter asked";
  EXPECT_EQ(column(retries, "data.attempt"), "1,2,3");
  EXPECT_EQ(column(retries, "data.next_attempt"), "2,3,4");
  EXPECT_EQ(json_at(retries[0], "data.error.message"), "failure 1");
  EXPECT_EQ(column(where(items, "type", "step_completed"), "data.attempt"), "4");
}

TEST(contract_runs, back_offs_are_spread) {
  auto& w = shared_world();
  const auto slug = world::unique("spread");
  auto recipe = w.recipe();
  const std::string fixed = R"("initial_backoff_ms":10,"jitter":0)";
  ASSERT_NE(recipe.find(fixed), std::string::npos);
  recipe.replace(recipe.find(fixed), fixed.size(), R"("initial_backoff_ms":200,"jitter":0.5)");
  w.make_agent(slug, recipe);
  std::set<std::string> step_delays, attempt_delays;
  for (int i = 0; i < 5; ++i) {
    const auto run = w.finish(R"([["flaky","a",1],["exit",1,1]])", slug);
    ASSERT_EQ(run["status"], "succeeded") << run.body;
    const auto items = w.timeline(run["session_id"]);
    step_delays.insert(column(where(items, "type", "step_retrying"), "data.delay_ms"));
    attempt_delays.insert(
        column(where(items, "data.error.code", "harness_exited"), "data.delay_ms"));
  }
  for (const auto& delays : {step_delays, attempt_delays}) {
    EXPECT_GT(delays.size(), 1U) << "every run waits for the same time";
    for (const auto& each : delays) {
      ASSERT_FALSE(each.empty());
      EXPECT_GE(std::stoi(each), 100);
      EXPECT_LE(std::stoi(each), 300);
    }
  }
}

TEST(contract_runs, retries_are_used_up) {
  auto& w = shared_world();
  const auto run = w.finish(R"([["flaky","a",99],["say","no"]])");
  EXPECT_EQ(run["status"], "failed") << run.body;
  EXPECT_EQ(run["error.code"], "step_given_up");
  auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(column(where(items, "type", "step_started"), "data.attempt"), "1,2,3,4,5");
  EXPECT_EQ(column(where(items, "type", "step_failed"), "data.attempt"), "5");
  const auto final = w.finish(R"([["flaky","a",1,false]])");
  EXPECT_EQ(final["status"], "failed");
  EXPECT_EQ(column(where(w.timeline(final["session_id"]), "type", "step_started"), "data.attempt"),
            "1");
}

TEST(contract_runs, attempts_are_retried_and_used_up) {
  auto& w = shared_world();
  const auto good = w.finish(R"([["step","a",1],["exit",3,2],["step","b",2]])", "solo");
  EXPECT_EQ(good["status"], "succeeded") << good.body;
  EXPECT_EQ(good["attempt"], "3");
  const auto items = w.timeline(good["session_id"]);
  EXPECT_EQ(column(where(items, "type", "step_started"), "data.key"), "a,b")
      << "a step that is done is not executed again";
  const auto bad = w.finish(R"([["exit",3]])", "solo");
  EXPECT_EQ(bad["status"], "failed");
  EXPECT_EQ(bad["attempt"], "5");
  EXPECT_EQ(bad["error.code"], "harness_exited");
  const auto raised = w.finish(R"([["error","It broke.","broken"]])");
  EXPECT_EQ(error_of(raised), "failed broken: It broke.");
  EXPECT_EQ(raised["attempt"], "1");
  const auto again = w.finish(R"([["error","It broke.","broken",true]])");
  EXPECT_EQ(again["attempt"], "5");
}

TEST(contract_runs, a_step_has_its_own_time_limit) {
  auto& w = shared_world();
  const auto run = w.finish(R"([["stuck","a",300,1],["step","b"]])", "solo");
  EXPECT_EQ(run["status"], "succeeded") << run.body;
  const auto items = w.timeline(run["session_id"]);
  EXPECT_EQ(column(where(where(items, "type", "step_started"), "data.key", "a"), "data.attempt"),
            "1,2");
  EXPECT_EQ(where(items, "type", "step_retrying").size(), 1U);
}

TEST(contract_runs, a_flood_fails_its_run_alone) {
  auto& w = shared_world();
  const auto gate = world::unique("gate");
  const auto beside = w.begin(R"([["wait",")" + gate + R"("],["step","a"]])");
  const auto flood = w.finish(R"([["repeat",20000,["log","info","more {}"]]])");
  EXPECT_EQ(flood["status"], "failed") << flood.body;
  EXPECT_EQ(flood["error.code"], "protocol_error");
  EXPECT_NE(flood["error.message"].find("too many lines: over 4000 at once or 2500 a second"),
            std::string::npos)
      << flood.body;
  EXPECT_EQ(flood["attempt"], "5") << "its attempts count";
  w.open_gate(gate);
  const auto other = w.end_of(beside["id"]);
  EXPECT_EQ(other["status"], "succeeded") << other.body;
  EXPECT_EQ(other["attempt"], "1") << "the run in the same process did not notice";
}

TEST(contract_runs, secrets_reach_the_process_alone) {
  world w{{"--secrets.token.env", "CONTRACT_TEST_SECRET", "--secrets.absent.env", "NO_SUCH_NAME"}};
  w.server.options().environment = {{"CONTRACT_TEST_SECRET", "s3cr3t-and-nowhere"}};
  ASSERT_TRUE(w.start());
  w.make_agent("with", w.recipe(R"(,"env":{"TOKEN":{"secret":"token"},"OPEN":"value"})"));
  const auto run = w.finish(R"([["env","TOKEN"],["env","OPEN"],["env","HOSTNAME_X"]])", "with");
  EXPECT_EQ(run["status"], "succeeded") << run.body;
  EXPECT_EQ(
      column(where(w.timeline(run["session_id"]), "type", "assistant_message"), "data.content"),
      "18 characters,5 characters,absent");
  const auto stored = test::read_whole_file(w.folder / "data/ledger.db")
                      + test::read_whole_file(w.folder / "data/ledger.db-wal");
  EXPECT_NE(stored.find("18 characters"), std::string::npos);
  EXPECT_EQ(stored.find("s3cr3t"), std::string::npos);
  for (const char* name : {"absent", "undeclared"}) {
    w.make_agent(name, w.recipe(R"(,"env":{"TOKEN":{"secret":")" + std::string{name} + "\"}}"));
    const auto failed = w.finish("[]", name);
    EXPECT_EQ(failed["status"], "failed");
    EXPECT_EQ(failed["error.code"], "secret_missing") << failed.body;
  }
}

TEST(contract_runs, explain_says_why) {
  world w{{"--runs.max-running", "1"}};
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto explain = [&](const http_answer& run) {
    return asking.get("/api/v1/runs/" + run["id"] + "/explain");
  };
  w.make_agent("slow", w.recipe().substr(0, w.recipe().find("\"retry\""))
                           + R"("retry":{"initial_backoff_ms":60000,"jitter":0}})");
  const auto executing = w.begin(R"([["wait","one"]])", "solo");
  const auto queued = w.begin(R"([["exit",1]])", "slow");
  ASSERT_TRUE(eventually([&] { return explain(executing)["reason"] == "executing"; }));
  const auto why = explain(queued);
  EXPECT_EQ(member_names(why.body).substr(0, 40), "run_id,status,reason,summary,event_id");
  EXPECT_EQ(why["reason"], "queued") << why.body;
  EXPECT_EQ(why["event_id"], queued["session_id"] + ":1");
  EXPECT_FALSE(why["summary"].empty());
  w.open_gate("one");
  ASSERT_TRUE(eventually([&] { return explain(executing)["reason"] == "finished"; }));
  EXPECT_EQ(explain(executing)["status"], "succeeded");
  ASSERT_TRUE(eventually([&] { return explain(queued)["reason"] == "backing_off"; }))
      << explain(queued).body;
  expect_time(explain(queued)["until"]);
  EXPECT_EQ(explain(queued)["event_id"].substr(0, 4), "run_");
}

TEST(contract_runs, analytics_add_up) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("money");
  const auto agent = w.make_agent(slug, w.recipe({}, true));
  for (int i = 0; i < 10; ++i)
    w.finish(R"([["usage",0.1,10,1]])", slug);
  w.finish(R"([["usage",0.000001,0,0],["error","x"]])", slug);
  const auto cancelled = w.begin(R"([["wait","never"]])", slug);
  asking.post("/api/v1/sessions/" + cancelled["session_id"] + "/cancel", "");
  const auto last = w.end_of(cancelled["id"]);
  const auto all = asking.get("/api/v1/analytics/agents");
  EXPECT_EQ(member_names(all.body), "start,end,agents,total");
  const auto mine = where(json_elements(all["agents"]), "agent_id", agent);
  ASSERT_EQ(mine.size(), 1U) << all.body;
  EXPECT_EQ(member_names(mine[0]),
            "agent_id,agent_slug,runs,succeeded,failed,cancelled,cost_usd,tokens_in,tokens_out,"
            "duration_seconds,last_run_at");
  for (const auto& [name, value] :
       std::vector<std::pair<const char*, std::string>>{{"agent_slug", slug},
                                                        {"runs", "12"},
                                                        {"succeeded", "10"},
                                                        {"failed", "1"},
                                                        {"cancelled", "1"},
                                                        {"cost_usd", "1.000001"},
                                                        {"tokens_in", "100"},
                                                        {"tokens_out", "10"},
                                                        {"last_run_at", last["created_at"]}})
    EXPECT_EQ(json_at(mine[0], name), value) << name;
  const auto until =
      asking.get("/api/v1/analytics/agents?start=2020-01-01T00:00:00Z&end=" + last["created_at"]);
  EXPECT_EQ(json_at(where(json_elements(until["agents"]), "agent_id", agent)[0], "runs"), "11")
      << "the end is exclusive";
  const auto from = asking.get("/api/v1/analytics/agents?start=" + last["created_at"]);
  EXPECT_EQ(json_at(where(json_elements(from["agents"]), "agent_id", agent)[0], "runs"), "1");
  EXPECT_EQ(asking.get("/api/v1/analytics/agents?end=2020-01-01T00:00:00Z")["total.runs"], "0");
  expect_invalid(asking.get("/api/v1/analytics/agents?start=yesterday"), R"(["query","start"])");
}

TEST(contract_runs, writes_are_read_at_once) {
  auto& w = shared_world();
  auto asking = w.client(), reading = w.client();
  const auto slug = world::unique("fresh");
  for (int i = 0; i < 30; ++i) {
    const auto name = slug + '-' + std::to_string(i);
    const auto agent = w.make_agent(name, w.recipe({}, true));
    ASSERT_EQ(json_at(json_elements(reading.get("/api/v1/agents?limit=1").body).at(0), "id"),
              agent);
    ASSERT_EQ(reading.get("/api/v1/agents/" + name)["id"], agent);
    const auto run = asking.post("/api/v1/agents/" + name + "/runs", R"({"prompt":"x"})");
    const auto id = run["id"], session = run["session_id"];
    ASSERT_EQ(reading.get("/api/v1/runs?limit=1")["0.id"], id);
    ASSERT_EQ(reading.get("/api/v1/agents/" + name + "/runs")["0.id"], id);
    ASSERT_EQ(reading.get("/api/v1/runs/" + id)["id"], id);
    ASSERT_EQ(reading.get("/api/v1/sessions?limit=1")["0.id"], session);
    ASSERT_EQ(reading.get("/api/v1/sessions/" + session)["runs.0.id"], id);
    ASSERT_EQ(reading.get("/api/v1/sessions/" + session + "/events")["0.type"], "user_message");
    ASSERT_EQ(reading.get("/api/v1/runs/" + id + "/explain").status, 200);
    ASSERT_EQ(reading.get("/api/v1/runs/" + id + "/log/events").status, 200);
    const auto all = reading.get("/api/v1/analytics/agents");
    ASSERT_EQ(where(json_elements(all["agents"]), "agent_id", agent).size(), 1U);
    const auto turn =
        asking.post("/api/v1/sessions/" + session + "/messages", R"({"message":"x"})");
    ASSERT_EQ(reading.get("/api/v1/sessions/" + session)["runs.1.id"], turn["run_id"]);
    ASSERT_EQ(reading.get("/api/v1/runs/" + turn["run_id"]).status, 200);
    ASSERT_EQ(
        asking.post("/api/v1/agents/" + name + "/versions", R"({"recipe":)" + w.recipe() + "}")
            .status,
        201);
    ASSERT_EQ(reading.get("/api/v1/agents/" + name + "/versions")["0.version"], "2");
    asking.ask("PATCH", "/api/v1/agents/" + name + "/versions/2", R"({"status":"active"})");
    ASSERT_EQ(reading.get("/api/v1/agents/" + name)["active_version"], "2");
    asking.post("/api/v1/sessions/" + session + "/cancel", "");
    ASSERT_NE(reading.get("/api/v1/sessions/" + session)["status"], "active");
    const auto key = asking.post("/api/v1/keys", R"({"name":"x","scopes":["read"]})");
    ASSERT_EQ(reading.get("/api/v1/keys?limit=1")["0.id"], key["id"]);
    asking.ask("DELETE", "/api/v1/keys/" + key["id"]);
    ASSERT_NE(reading.get("/api/v1/keys?limit=1")["0.id"], key["id"]);
    const auto workspace = asking.post("/api/v1/workspaces", R"({"name":"x"})");
    ASSERT_EQ(reading.get("/api/v1/workspaces?limit=1")["0.id"], workspace["id"]);
  }
}

// Goal: first in first out holds over a restart, whatever the ids of keyed requests are, and also
// for a further turn of an old session.
TEST(contract_runs, the_queue_keeps_its_order_over_a_restart) {
  world w{{"--runs.max-running", "1"}};
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto old_session = w.finish("[]", "solo")["session_id"];
  const auto first = w.begin(R"([["wait","go"]])", "solo");
  ASSERT_TRUE(
      eventually([&] { return asking.get("/api/v1/runs/" + first["id"])["status"] == "running"; }));
  std::vector<std::string> accepted{first["id"]};
  for (int i = 0; i < 12; ++i) {
    const auto made = asking.post("/api/v1/agents/solo/runs", R"({"prompt":"x"})",
                                  {{"Idempotency-Key", world::unique("order")}});
    ASSERT_EQ(made.status, 201) << made.body;
    accepted.push_back(made["id"]);
    if (i == 5) {
      const auto turn =
          asking.post("/api/v1/sessions/" + old_session + "/messages", R"({"message":"x"})");
      ASSERT_EQ(turn.status, 202) << turn.body;
      accepted.push_back(turn["run_id"]);
    }
  }
  w.server.kill();
  ASSERT_TRUE(w.start());
  asking.move_to(w.server.port());
  accepted.push_back(asking.post("/api/v1/agents/solo/runs", R"({"prompt":"x"})")["id"]);
  w.open_gate("go");
  std::vector<std::string> ends;
  for (const auto& run : accepted)
    ends.push_back(w.end_of(run)["finished_at"]);
  EXPECT_TRUE(std::is_sorted(ends.begin(), ends.end())) << testing::PrintToString(ends);
}

} // namespace runledger::contract
