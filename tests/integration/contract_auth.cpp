#include "tests/integration/contract_world.hpp"

/// Who may do what: keys, scopes, workspaces.
namespace runledger::contract {

namespace {

struct operation {
  const char* method;
  const char* target;
  const char* body;
};

// Each that needs `read`, `write` and `admin`.
const operation reads[] = {
    {"GET", "/api/v1/agents", ""},
    {"GET", "/api/v1/agents/told", ""},
    {"GET", "/api/v1/agents/told/versions", ""},
    {"GET", "/api/v1/agents/told/versions/1", ""},
    {"GET", "/api/v1/agents/told/runs", ""},
    {"GET", "/api/v1/runs", ""},
    {"GET", "/api/v1/sessions", ""},
    {"GET", "/api/v1/workers", ""},
    {"GET", "/api/v1/analytics/agents", ""},
};
const operation missing_reads[] = {
    {"GET", "/api/v1/runs/run_none", ""},
    {"GET", "/api/v1/runs/run_none/explain", ""},
    {"GET", "/api/v1/runs/run_none/log", ""},
    {"GET", "/api/v1/runs/run_none/log/events", ""},
    {"GET", "/api/v1/runs/run_none/artifacts", ""},
    {"GET", "/api/v1/artifacts/art_none", ""},
    {"GET", "/api/v1/sessions/sess_none", ""},
    {"GET", "/api/v1/sessions/sess_none/events", ""},
};
const operation writes[] = {
    {"POST", "/api/v1/agents", R"({"name":"no"})"},
    {"POST", "/api/v1/agents/told/runs", R"({"prompt":"no"})"},
    {"POST", "/api/v1/agents/told/versions", R"({"recipe":{}})"},
    {"PATCH", "/api/v1/agents/told/versions/1", R"({"status":"archived"})"},
    {"POST", "/api/v1/agents/told/versions/1/runs", R"({"prompt":"no"})"},
    {"POST", "/api/v1/sessions/sess_none/messages", R"({"message":"no"})"},
    {"POST", "/api/v1/sessions/sess_none/cancel", ""},
};
const operation administrations[] = {
    {"POST", "/api/v1/keys", R"({"name":"no","scopes":["read"]})"},
    {"GET", "/api/v1/keys", ""},
    {"DELETE", "/api/v1/keys/key_none", ""},
    {"POST", "/api/v1/workspaces", R"({"name":"no"})"},
    {"GET", "/api/v1/workspaces", ""},
    {"GET", "/api/v1/admin/projections", ""},
    {"POST", "/api/v1/admin/projections/none/rebuild", ""},
};

http_answer perform(http_client& asking, const operation& what) {
  return asking.ask(what.method, what.target, what.body);
}

template <std::size_t count>
void expect_everywhere(http_client& asking, const operation (&all)[count], int status,
                       const std::string& code) {
  for (const auto& each : all) {
    SCOPED_TRACE(std::string{each.method} + ' ' + each.target);
    expect_problem(perform(asking, each), status, code);
  }
}

} // namespace

TEST(contract_auth, without_a_key_everything_is_401) {
  http_client nobody{shared_world().server.port()};
  expect_everywhere(nobody, reads, 401, "unauthorized");
  expect_everywhere(nobody, missing_reads, 401, "unauthorized");
  expect_everywhere(nobody, writes, 401, "unauthorized");
  expect_everywhere(nobody, administrations, 401, "unauthorized");
  EXPECT_EQ(nobody.get("/api/v1/runs").header("WWW-Authenticate"), "Bearer");
}

TEST(contract_auth, a_bad_key_is_401) {
  auto& w = shared_world();
  auto typo = w.key;
  typo.back() = typo.back() == 'a' ? 'b' : 'a';
  auto unknown = w.make_key(R"("read")");
  ASSERT_EQ(unknown.size(), 47U);
  for (const auto& bad : {std::string{"x"}, typo, unknown + "0", "rlk_" + std::string(43, '0'),
                          std::string(300, 'k')}) {
    auto asking = w.client(bad);
    const auto refused = asking.get("/api/v1/runs");
    expect_problem(refused, 401, "unauthorized");
    EXPECT_EQ(refused.header("WWW-Authenticate"), "Bearer") << bad;
  }
}

TEST(contract_auth, both_headers_carry_a_key) {
  auto& w = shared_world();
  http_client asking{w.server.port()};
  const auto status = [&](const header_list& headers) {
    return asking.get("/api/v1/runs", headers).status;
  };
  EXPECT_EQ(status({{"Authorization", "Bearer " + w.key}}), 200);
  EXPECT_EQ(status({{"authorization", "bearer " + w.key}}), 200);
  EXPECT_EQ(status({{"X-API-Key", w.key}}), 200);
  EXPECT_EQ(status({{"X-API-Key", w.key}, {"Authorization", "Bearer " + w.key}}), 200);
  EXPECT_EQ(status({{"Authorization", "Basic " + w.key}}), 401);
  EXPECT_EQ(status({{"Authorization", w.key}}), 401);
  EXPECT_EQ(status({{"X-API-Key", w.key}, {"Authorization", "Bearer wrong"}}), 401);
}

TEST(contract_auth, reading_does_not_allow_writing) {
  auto& w = shared_world();
  auto reader = w.client(w.make_key(R"("read")"));
  for (const auto& each : reads)
    EXPECT_EQ(perform(reader, each).status, 200) << each.target;
  expect_everywhere(reader, missing_reads, 404, "not_found");
  expect_everywhere(reader, writes, 403, "forbidden");
  expect_everywhere(reader, administrations, 403, "forbidden");
}

TEST(contract_auth, writing_allows_reading_and_no_administration) {
  auto& w = shared_world();
  auto writer = w.client(w.make_key(R"("write")"));
  for (const auto& each : reads)
    EXPECT_EQ(perform(writer, each).status, 200) << each.target;
  EXPECT_EQ(writer.post("/api/v1/agents/told/runs", R"({"prompt":"x"})").status, 201);
  expect_everywhere(writer, administrations, 403, "forbidden");
}

TEST(contract_auth, budget_reads_and_worker_does_neither) {
  auto& w = shared_world();
  auto money = w.client(w.make_key(R"("budget")"));
  for (const auto& each : reads)
    EXPECT_EQ(perform(money, each).status, 200) << each.target;
  expect_everywhere(money, writes, 403, "forbidden");
  expect_everywhere(money, administrations, 403, "forbidden");
  auto worker = w.client(w.make_key(R"("worker")"));
  expect_everywhere(worker, reads, 403, "forbidden");
  expect_everywhere(worker, writes, 403, "forbidden");
  expect_everywhere(worker, administrations, 403, "forbidden");
}

TEST(contract_auth, an_admin_key_may_do_everything) {
  auto& w = shared_world();
  auto admin = w.client(w.make_key(R"("admin")"));
  for (const auto& each : reads)
    EXPECT_EQ(perform(admin, each).status, 200) << each.target;
  EXPECT_EQ(admin.get("/api/v1/keys").status, 200);
  EXPECT_EQ(admin.post("/api/v1/agents/told/runs", R"({"prompt":"x"})").status, 201);
}

TEST(contract_auth, objects_of_another_workspace_do_not_exist) {
  auto& w = shared_world();
  const auto agent = json_at(w.client().get("/api/v1/agents/told").body, "id");
  const auto run = w.finish(R"([["artifact","a.txt","text"]])");
  const auto id = run["id"], session = run["session_id"];
  const auto artifact = w.client().get("/api/v1/runs/" + id + "/artifacts")["0.id"];
  ASSERT_FALSE(artifact.empty());
  auto stranger = w.client(w.make_key(R"("admin")", w.make_workspace()));
  for (const auto& target :
       {"/agents/" + agent, std::string{"/agents/told"}, "/agents/" + agent + "/versions",
        "/agents/" + agent + "/versions/1", "/agents/" + agent + "/runs", "/runs/" + id,
        "/runs/" + id + "/explain", "/runs/" + id + "/log", "/runs/" + id + "/log/events",
        "/runs/" + id + "/artifacts", "/artifacts/" + artifact, "/sessions/" + session,
        "/sessions/" + session + "/events"}) {
    SCOPED_TRACE(target);
    EXPECT_EQ(w.client().get("/api/v1" + target).status, 200);
    expect_problem(stranger.get("/api/v1" + target), 404, "not_found");
  }
  const header_list stream{{"Accept", "text/event-stream"}};
  EXPECT_EQ(stranger.get("/api/v1/sessions/" + session + "/events", stream).status, 404);
  for (const auto& [target, body] : std::vector<std::pair<std::string, std::string>>{
           {"/agents/" + agent + "/runs", R"({"prompt":"x"})"},
           {"/agents/" + agent + "/versions", R"({"recipe":)" + w.recipe() + "}"},
           {"/agents/" + agent + "/versions/1/runs", R"({"prompt":"x"})"},
           {"/sessions/" + session + "/messages", R"({"message":"x"})"},
           {"/sessions/" + session + "/cancel", ""}}) {
    SCOPED_TRACE(target);
    EXPECT_EQ(stranger.post("/api/v1" + target, body).status, 404);
  }
  EXPECT_EQ(
      stranger.ask("PATCH", "/api/v1/agents/" + agent + "/versions/1", R"({"status":"archived"})")
          .status,
      404);
  for (const char* list : {"/agents", "/runs", "/sessions"})
    EXPECT_EQ(stranger.get(std::string{"/api/v1"} + list).body, "[]") << list;
  for (const auto& filter : {"?agent_id=" + agent, "?session_id=" + session})
    EXPECT_EQ(stranger.get("/api/v1/runs" + filter).body, "[]") << filter;
  EXPECT_EQ(stranger.get("/api/v1/analytics/agents")["total.runs"], "0");
}

TEST(contract_auth, the_same_idempotency_key_of_two_workspaces_makes_two_objects) {
  auto& w = shared_world();
  auto stranger = w.client(w.make_key(R"("write")", w.make_workspace()));
  const header_list keyed{{"Idempotency-Key", world::unique("shared")}};
  const auto body = R"({"name":"same","slug":")" + world::unique("same") + R"("})";
  const auto here = w.client().post("/api/v1/agents", body, keyed);
  const auto there = stranger.post("/api/v1/agents", body, keyed);
  EXPECT_EQ(here.status, 201) << here.body;
  EXPECT_EQ(there.status, 201) << there.body;
  EXPECT_NE(here["id"], there["id"]);
  EXPECT_EQ(there.header("Idempotent-Replayed"), "");
}

TEST(contract_auth, slugs_belong_to_their_workspace) {
  auto& w = shared_world();
  auto stranger = w.client(w.make_key(R"("write")", w.make_workspace()));
  EXPECT_EQ(stranger.post("/api/v1/agents", R"({"name":"told"})").status, 201);
  EXPECT_EQ(stranger.get("/api/v1/agents/told")["active_version"], "null");
  EXPECT_EQ(w.client().get("/api/v1/agents/told")["active_version"], "1");
}

TEST(contract_auth, a_revoked_key_is_refused_at_once) {
  auto& w = shared_world();
  auto admin = w.client();
  for (int round = 0; round < 20; ++round) {
    const auto made = admin.post("/api/v1/keys", R"({"name":"short","scopes":["read"]})");
    ASSERT_EQ(made.status, 201) << made.body;
    auto holder = w.client(made["key"]);
    ASSERT_EQ(holder.get("/api/v1/runs").status, 200);
    const auto gone = admin.ask("DELETE", "/api/v1/keys/" + made["id"]);
    ASSERT_EQ(gone.status, 204) << gone.body;
    EXPECT_EQ(gone.body, "");
    ASSERT_EQ(holder.get("/api/v1/runs").status, 401) << "on its own connection, round " << round;
  }
}

TEST(contract_auth, an_expired_key_is_refused) {
  auto& w = shared_world();
  const auto made = w.client().post(
      "/api/v1/keys", R"({"name":"old","scopes":["read"],"expires_at":"2020-01-01T00:00:00Z"})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made["expires_at"], "2020-01-01T00:00:00.000Z");
  EXPECT_EQ(w.client(made["key"]).get("/api/v1/runs").status, 401);
  const auto later = w.client().post(
      "/api/v1/keys",
      R"({"name":"new","scopes":["read"],"expires_at":"2999-01-01T01:00:00+01:00"})");
  EXPECT_EQ(later["expires_at"], "2999-01-01T00:00:00.000Z") << later.body;
  EXPECT_EQ(w.client(later["key"]).get("/api/v1/runs").status, 200);
}

TEST(contract_auth, keys_are_shown_once_and_listed_without_their_secret) {
  auto& w = shared_world();
  auto admin = w.client();
  const auto made =
      admin.post("/api/v1/keys", R"({"name":"Ünïcode","scopes":["write","read","write"]})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(member_names(made.body), "id,name,workspace,scopes,created_at,expires_at,key");
  expect_id(made["id"], "key_");
  expect_time(made["created_at"]);
  EXPECT_EQ(made["workspace"], "default");
  EXPECT_EQ(made["expires_at"], "null");
  EXPECT_EQ(made["key"].size(), 47U);
  EXPECT_EQ(made["key"].substr(0, 4), "rlk_");
  EXPECT_EQ(made.header("Cache-Control"), "no-store");
  const auto listed = where(all_pages(admin, "/api/v1/keys"), "id", made["id"]);
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(member_names(listed[0]), "id,name,workspace,scopes,created_at,expires_at");
  EXPECT_EQ(json_at(listed[0], "name"), "Ünïcode");
  const auto stored = test::read_whole_file(w.folder / "data/ledger.db")
                      + test::read_whole_file(w.folder / "data/ledger.db-wal");
  EXPECT_NE(stored.find(made["id"]), std::string::npos);
  EXPECT_EQ(stored.find(made["key"]), std::string::npos);
}

TEST(contract_auth, the_end_of_a_key_is_its_checksum) {
  auto& w = shared_world();
  const auto good = w.make_key(R"("read")");
  for (std::size_t at = 4; at < good.size(); at += 7) {
    auto typo = good;
    typo[at] = typo[at] == 'A' ? 'B' : 'A';
    EXPECT_EQ(w.client(typo).get("/api/v1/runs").status, 401) << at;
  }
  EXPECT_EQ(w.client(good).get("/api/v1/runs").status, 200);
}

TEST(contract_auth, keys_are_validated) {
  auto admin = shared_world().client();
  const auto ask = [&](const std::string& body) { return admin.post("/api/v1/keys", body); };
  expect_invalid(ask("{}"), R"(["body","name"])");
  expect_invalid(ask("{}"), R"(["body","scopes"])");
  expect_invalid(ask(R"({"name":"","scopes":["read"]})"), R"(["body","name"])");
  expect_invalid(ask(R"({"name":"a","scopes":[]})"), R"(["body","scopes"])");
  expect_invalid(ask(R"({"name":"a","scopes":"read"})"), R"(["body","scopes"])");
  expect_invalid(ask(R"({"name":"a","scopes":["read","rule"]})"), R"(["body","scopes",1])");
  expect_invalid(ask(R"({"name":"a","scopes":["read"],"expires_at":"soon"})"),
                 R"(["body","expires_at"])");
  expect_invalid(ask(R"({"name":"a","scopes":["read"],"workspace":"nowhere"})"),
                 R"(["body","workspace"])");
  expect_problem(admin.ask("DELETE", "/api/v1/keys/key_none"), 404, "not_found");
}

TEST(contract_auth, workspaces_are_made_and_listed) {
  auto admin = shared_world().client();
  const auto id = world::unique("team");
  const auto made = admin.post("/api/v1/workspaces", R"({"name":"Team","id":")" + id + R"("})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(member_names(made.body), "id,name,created_at");
  EXPECT_EQ(made["id"], id);
  const auto again = admin.post("/api/v1/workspaces", R"({"name":"Other","id":")" + id + R"("})");
  expect_problem(again, 409, "workspace_exists");
  expect_id(admin.post("/api/v1/workspaces", R"({"name":"Team"})")["id"], "ws_");
  const auto all = all_pages(admin, "/api/v1/workspaces");
  EXPECT_EQ(where(all, "id", id).size(), 1U);
  EXPECT_EQ(where(all, "id", "default").size(), 1U);
  EXPECT_TRUE(where(all, "id", "system").empty());
  expect_invalid(admin.post("/api/v1/workspaces", R"({"name":"a","id":"a/b"})"),
                 R"(["body","id"])");
  expect_invalid(admin.post("/api/v1/workspaces", R"({"id":"ab"})"), R"(["body","name"])");
}

TEST(contract_auth, an_admin_key_of_another_workspace_administers_the_server) {
  auto& w = shared_world();
  auto other = w.client(w.make_key(R"("admin")", w.make_workspace()));
  const auto made =
      other.post("/api/v1/keys", R"({"name":"a","scopes":["read"],"workspace":"default"})");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made["workspace"], "default");
  EXPECT_EQ(w.client(made["key"]).get("/api/v1/agents/told").status, 200);
  EXPECT_EQ(other.ask("DELETE", "/api/v1/keys/" + made["id"]).status, 204);
  EXPECT_EQ(where(all_pages(other, "/api/v1/workspaces"), "id", "default").size(), 1U);
}

} // namespace runledger::contract
