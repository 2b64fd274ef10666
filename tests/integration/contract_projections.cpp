#include "tests/integration/contract_world.hpp"

#include <sqlite3.h>

/// The views as an administrator sees them, and their rebuild while the server runs.
namespace runledger::contract {

namespace {

const char* const list = "/api/v1/admin/projections";

std::string rebuild_of(const std::string& view) {
  return std::string{list} + '/' + view + "/rebuild";
}

std::string first_of(http_client& asking) {
  const auto all = json_elements(asking.get(list).body);
  return all.empty() ? std::string{} : all.front();
}

/// Waits until no rebuild is under way; the state of a view then.
std::string settled_state(http_client& asking) {
  eventually([&] { return json_at(first_of(asking), "state") == "live"; });
  return json_at(first_of(asking), "state");
}

void sql(const world& w, const std::string& text) {
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((w.folder / "data/views.db").c_str(), &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  EXPECT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(db);
  sqlite3_close(db);
}

} // namespace

// Goal: each view tells its position and that nothing is parked.
TEST(contract_projections, told_one_by_one) {
  auto& w = shared_world();
  auto asking = w.client();
  w.finish("[]");
  const auto all = json_elements(asking.get(list).body);
  EXPECT_EQ(column(all, "name"), "runs,sessions,timeline,agents,workers,keys,workspaces");
  for (const auto& each : all) {
    EXPECT_GT(std::stoll(json_at(each, "position")), 0);
    EXPECT_GE(std::stoll(json_at(each, "lag")), 0);
  }
}

// Goal: a view with wrong rows, planted while the server runs, is right after a rebuild; reads are
// answered all the time, and each sees the writes before it.
TEST(contract_projections, rebuilt_while_it_is_read) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto run = w.finish(R"([["step","a"]])");
  const auto target = "/api/v1/runs/" + run["id"];
  const auto right = asking.get(target).body;
  sql(w, "UPDATE runs SET kind = 'planted'");
  EXPECT_EQ(asking.get(target)["kind"], "planted");
  const auto begun = asking.post(rebuild_of("runs"), "");
  EXPECT_EQ(begun.status, 202) << begun.body;
  EXPECT_EQ(begun["name"], "runs");
  EXPECT_EQ(begun["state"], "rebuilding");
  for (int i = 0; i < 20; ++i) {
    const auto made = asking.post("/api/v1/workspaces",
                                  R"({"name":"During","id":")" + world::unique("during") + "\"}");
    ASSERT_EQ(made.status, 201) << made.body;
    EXPECT_NE(asking.get("/api/v1/workspaces").body.find(made["id"]), std::string::npos);
    EXPECT_EQ(asking.get(target).status, 200);
  }
  EXPECT_EQ(settled_state(asking), "live");
  EXPECT_EQ(asking.get(target).body, right);
  const auto again = w.finish("[]");
  EXPECT_EQ(asking.get("/api/v1/runs/" + again["id"])["status"], "succeeded");
}

// Goal: keys that a damaged view did not know open again once it is rebuilt.
TEST(contract_projections, keys_come_back) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto key = w.make_key("\"read\"");
  EXPECT_EQ(asking.get("/api/v1/keys").status, 200);
  sql(w,
      "UPDATE keys SET revoked_ms = 1 WHERE id = (SELECT id FROM keys ORDER BY at DESC LIMIT 1)");
  w.make_key("\"read\""); // The ring is loaded anew, from the damaged view.
  EXPECT_EQ(asking.post(rebuild_of("keys"), "{}").status, 202);
  EXPECT_EQ(settled_state(asking), "live");
  EXPECT_TRUE(eventually([&] { return w.client(key).get("/api/v1/runs").status == 200; }));
}

// Goal: a view that is not there is 404, a key without the scope 403, no key 401.
TEST(contract_projections, refusals) {
  auto& w = shared_world();
  auto asking = w.client();
  expect_problem(asking.post(rebuild_of("everything"), ""), 404, "not_found");
  expect_problem(w.client(w.make_key("\"write\",\"budget\"")).post(rebuild_of("runs"), ""), 403,
                 "forbidden");
  EXPECT_EQ(http_client{w.server.port()}.post(rebuild_of("runs"), "").status, 401);
  EXPECT_EQ(asking.get(rebuild_of("runs")).status, 405);
  EXPECT_EQ(asking.post(rebuild_of("runs"), "[]").status, 422);
  EXPECT_EQ(asking.post(rebuild_of("runs"), "{").status, 400);
}

// Goal: nothing is written to the ledger for a rebuild.
TEST(contract_projections, no_event) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto before = metric(asking, "runledger_ledger_appended_events_total");
  EXPECT_EQ(asking.post(rebuild_of("timeline"), "").status, 202);
  EXPECT_EQ(settled_state(asking), "live");
  EXPECT_EQ(metric(asking, "runledger_ledger_appended_events_total"), before);
}

} // namespace runledger::contract
