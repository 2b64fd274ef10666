#include "tests/integration/contract_world.hpp"

/// Agents, their versions and their recipes.
namespace runledger::contract {

namespace {

http_answer ask_version(http_client& asking, const world& w, const std::string& agent,
                        const std::string& more) {
  return asking.post("/api/v1/agents/" + agent + "/versions",
                     R"({"recipe":)" + w.recipe(more) + "}");
}

std::string process(const std::string& more) {
  return R"({"recipe":{"harness":{"kind":"process","command":["true"])" + more + "}}}";
}

} // namespace

TEST(contract_agents, an_agent_has_its_members) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("members");
  const auto made =
      asking.post("/api/v1/agents", R"({"name":"Members","description":"It has them.","slug":")"
                                        + slug + R"(","recipe":)" + w.recipe() + "}");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(member_names(made.body),
            "id,slug,name,description,active_version,versions,created_at,updated_at");
  expect_id(made["id"], "ag_");
  expect_time(made["created_at"]);
  expect_time(made["updated_at"]);
  EXPECT_EQ(made["active_version"], "1");
  EXPECT_EQ(member_names(made["versions.0"]), "version,status,created_at");
  EXPECT_EQ(made["versions.0.status"], "active");
  EXPECT_EQ(asking.get("/api/v1/agents/" + slug).body, made.body);
  EXPECT_EQ(asking.get("/api/v1/agents/" + made["id"]).body, made.body);
  const auto listed = where(all_pages(asking, "/api/v1/agents"), "id", made["id"]);
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(member_names(listed[0]),
            "id,slug,name,description,active_version,created_at,updated_at");
  EXPECT_EQ(asking.get("/api/v1/agents/idle")["active_version"], "null");
}

TEST(contract_agents, slugs_come_from_names_and_are_unique) {
  auto asking = shared_world().client();
  const auto name = world::unique("My Första Agent");
  const auto made = asking.post("/api/v1/agents", R"({"name":)" + json_quoted(name) + "}");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made["slug"].find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"),
            std::string::npos)
      << made["slug"];
  EXPECT_EQ(made["slug"].substr(0, 3), "my-");
  expect_problem(asking.post("/api/v1/agents", R"({"name":"x","slug":")" + made["slug"] + "\"}"),
                 409, "name_taken");
  expect_problem(asking.post("/api/v1/agents", R"({"name":)" + json_quoted(name) + "}"), 409,
                 "name_taken");
}

TEST(contract_agents, names_and_slugs_are_validated) {
  auto asking = shared_world().client();
  const auto ask = [&](const std::string& body) { return asking.post("/api/v1/agents", body); };
  expect_invalid(ask("{}"), R"(["body","name"])");
  expect_invalid(ask(R"({"name":""})"), R"(["body","name"])");
  expect_invalid(ask(R"({"name":7})"), R"(["body","name"])");
  expect_invalid(ask(R"({"name":")" + std::string(129, 'n') + "\"}"), R"(["body","name"])");
  EXPECT_EQ(
      ask(R"({"name":")" + std::string(128, 'n') + R"(","slug":")" + world::unique("long") + "\"}")
          .status,
      201);
  for (const char* bad : {"Upper", "a_b", "a b", "", "é"})
    expect_invalid(ask(R"({"name":"x","slug":")" + std::string{bad} + "\"}"), R"(["body","slug"])");
  expect_invalid(ask(R"({"name":"x","recipe":{}})"), R"(["body","recipe","harness"])");
}

TEST(contract_agents, versions_live_their_life) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("life");
  ASSERT_EQ(asking.post("/api/v1/agents", R"({"name":"x","slug":")" + slug + "\"}").status, 201);
  const auto agent = "/api/v1/agents/" + slug;
  const auto change = [&](const std::string& version, const std::string& body) {
    return asking.ask("PATCH", agent + "/versions/" + version, body);
  };
  const std::string activate = R"({"status":"active"})", archive = R"({"status":"archived"})";
  const auto other = R"({"recipe":)" + w.recipe(R"(,"description":"changed")") + "}";
  expect_problem(asking.post(agent + "/runs", R"({"prompt":"x"})"), 409, "no_active_version");
  const auto draft = ask_version(asking, w, slug, "");
  ASSERT_EQ(draft.status, 201) << draft.body;
  EXPECT_EQ(member_names(draft.body), "agent_id,version,status,recipe,created_at");
  EXPECT_EQ(draft["version"], "1");
  EXPECT_EQ(draft["status"], "draft");
  EXPECT_EQ(draft["recipe"], w.recipe());
  expect_problem(asking.post(agent + "/runs", R"({"prompt":"x"})"), 409, "no_active_version");
  expect_problem(asking.post(agent + "/versions/1/runs", R"({"prompt":"x"})"), 409,
                 "version_not_active");
  expect_problem(asking.post(agent + "/versions/9/runs", R"({"prompt":"x"})"), 404,
                 "version_not_found");
  expect_problem(change("1", archive), 409, "wrong_phase");
  EXPECT_EQ(json_at(change("1", other)["recipe"], "description"), "changed");
  EXPECT_EQ(change("1", activate)["status"], "active");
  expect_problem(change("1", activate), 409, "wrong_phase");
  expect_problem(change("1", other), 409, "not_draft");
  ASSERT_EQ(ask_version(asking, w, slug, "")["version"], "2");
  EXPECT_EQ(change("2", activate)["status"], "active");
  EXPECT_EQ(asking.get(agent)["active_version"], "2");
  EXPECT_EQ(asking.get(agent + "/versions/1")["status"], "active") << "it stays";
  EXPECT_EQ(asking.post(agent + "/runs", R"({"prompt":"x"})")["agent_version"], "2");
  EXPECT_EQ(asking.post(agent + "/versions/1/runs", R"({"prompt":"x"})")["agent_version"], "1");
  EXPECT_EQ(change("2", archive)["status"], "archived");
  EXPECT_EQ(asking.get(agent)["active_version"], "1");
  EXPECT_EQ(asking.post(agent + "/runs", R"({"prompt":"x"})")["agent_version"], "1");
  expect_problem(change("2", activate), 409, "wrong_phase");
  expect_problem(change("2", archive), 409, "wrong_phase");
  expect_problem(change("2", other), 409, "not_draft");
  expect_problem(asking.post(agent + "/versions/2/runs", R"({"prompt":"x"})"), 409,
                 "version_not_active");
  EXPECT_EQ(column(json_elements(asking.get(agent + "/versions").body), "version"), "2,1");
  EXPECT_EQ(change("9", activate).status, 404);
  EXPECT_EQ(asking.get(agent + "/versions/9").status, 404);
  EXPECT_EQ(asking.get(agent + "/versions/x").status, 404);
  EXPECT_EQ(change("1", R"({"status":"draft"})").status / 100, 4);
  EXPECT_EQ(change("1", "{}").status, 422);
}

TEST(contract_agents, recipes_are_validated) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto ask = [&](const std::string& body) {
    return asking.post("/api/v1/agents/idle/versions", body);
  };
  expect_invalid(ask("{}"), R"(["body","recipe"])");
  expect_invalid(ask(R"({"recipe":{}})"), R"(["body","recipe","harness"])");
  expect_invalid(ask(R"({"recipe":{"harness":{}}})"), R"(["body","recipe","harness","kind"])");
  expect_invalid(ask(R"({"recipe":{"harness":{"kind":"cloud"}}})"),
                 R"(["body","recipe","harness","kind"])");
  const auto refused = ask(R"({"recipe":{"harness":{"kind":"llm","model":"m"}}})");
  expect_problem(refused, 422, "not_available");
  expect_invalid(refused, R"(["body","recipe","harness","kind"])");
  for (const char* queue : {"", R"(,"queue":"a/b")", R"(,"queue":7)"})
    expect_invalid(ask(R"({"recipe":{"harness":{"kind":"worker")" + std::string{queue} + "}}}"),
                   R"(["body","recipe","harness","queue"])");
  expect_invalid(ask(R"({"recipe":{"harness":{"kind":"process"}}})"),
                 R"(["body","recipe","harness","command"])");
  expect_invalid(ask(process(R"(,"sandbox":"none")")), R"(["body","recipe","harness","sandbox"])");
  expect_invalid(ask(process(R"(,"sandbox":"maybe")")), R"(["body","recipe","harness","sandbox"])");
  for (const auto& outside :
       {std::string{"/etc"}, w.folder.path() + "/../elsewhere", w.folder.path() + "x"})
    expect_invalid(
        ask(process(R"(,"mounts":[{"source":)" + json_quoted(outside) + R"(,"mode":"ro"}])")),
        R"(["body","recipe","harness","mounts",0,"source"])");
  EXPECT_EQ(ask(process(R"(,"files":{"../x":"y"})")).status, 422);
  EXPECT_EQ(ask(process(R"(,"files":{"x":")" + std::string((1 << 20) + 1, 'y') + "\"}")).status,
            422);
  const auto top = [&](const std::string& more) {
    return ask(R"({"recipe":{"harness":{"kind":"process","command":["true"]},)" + more + "}}");
  };
  expect_invalid(top(R"("limits":{"max_steps":0})"), R"(["body","recipe","limits","max_steps"])");
  expect_invalid(top(R"("limits":{"max_cost_usd":-1})"),
                 R"(["body","recipe","limits","max_cost_usd"])");
  expect_invalid(top(R"("limits":{"timeout_seconds":0})"),
                 R"(["body","recipe","limits","timeout_seconds"])");
  expect_invalid(top(R"("retry":{"max_attempts":0})"),
                 R"(["body","recipe","retry","max_attempts"])");
  expect_invalid(top(R"("retry":{"jitter":2})"), R"(["body","recipe","retry","jitter"])");
  expect_invalid(top(R"("env":{"A":1})"), R"(["body","recipe","env","A"])");
  EXPECT_EQ(top(R"("env":{"A":"b","C":{"secret":"NAME"}})").status, 201);
}

TEST(contract_agents, a_schema_says_what_a_state_is) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("schema");
  const std::string schema =
      R"(,"state_schema":{"type":"object","required":["subject"],"properties":{"subject":)"
      R"({"type":"string","minLength":3},"tags":{"type":"array","items":{"type":"integer"}}}})";
  w.make_agent(slug, w.recipe(schema));
  const auto start = [&](const std::string& state) {
    return asking.post("/api/v1/agents/" + slug + "/runs", R"({"initial_state":)" + state + "}");
  };
  EXPECT_EQ(start(R"({"subject":"good","tags":[1,2]})").status, 201);
  expect_invalid(start(R"({"subject":"no"})"), R"(["body","initial_state","subject"])");
  expect_invalid(start(R"({"subject":"good","tags":[1,"x"]})"),
                 R"(["body","initial_state","tags","1"])");
  EXPECT_EQ(start("{}").status, 422);
  EXPECT_EQ(start(R"({"subject":1})")["code"], "state_mismatch");
  expect_invalid(ask_version(asking, w, "idle",
                             R"(,"state_schema":{"properties":{"a":{"unevaluatedItems":false}}})"),
                 R"(["body","recipe","state_schema","properties","a","unevaluatedItems"])");
  EXPECT_EQ(ask_version(asking, w, "idle", R"(,"state_schema":7)").status, 422);
}

} // namespace runledger::contract
