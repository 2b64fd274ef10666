#include "tests/integration/contract_world.hpp"
#include "tests/support/shell.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

// Goal: who touched what is told by the binary alone, beside the server and after it, and no secret
// with it.
namespace runledger::contract {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using test::spoken;

class audit_who : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(w.start());
    auto admin = w.client();
    const auto made = admin.post("/api/v1/keys", R"({"name":"Ada","scopes":["write"]})");
    ada = made["id"];
    ada_key = made["key"];
    const auto other = admin.post("/api/v1/keys", R"({"name":"Eve","scopes":["read"]})");
    eve = other["id"];
    auto asking = w.client(ada_key);
    const auto begun =
        asking.post("/api/v1/agents/told/runs", script_body(R"([["step","a",1],["step","b",2]])"));
    run = begun["id"];
    session = begun["session_id"];
    begun_in = begun.header("runledger-request-id");
    ASSERT_EQ(w.end_of(run)["status"], "succeeded");
    const auto refused = w.client(other["key"]).post("/api/v1/runs/" + run + "/fork", "{}");
    EXPECT_EQ(refused.status, 403);
    refused_in = refused.header("runledger-request-id");
    const auto unknown =
        w.client("rlk_wrong").post("/api/v1/sessions/" + session + "/cancel", "{}");
    EXPECT_EQ(unknown.status, 401);
    unknown_in = unknown.header("runledger-request-id");
    ASSERT_TRUE(eventually([&] { return w.events_of("audit.call_refused") == 2; }));
  }

  spoken who(const std::string& id, const std::string& more = {}) const {
    return say(fmt::format("audit who {} --data '{}' {}", id, w.folder / "data", more));
  }

  world w;
  std::string ada, ada_key, eve, run, session, begun_in, refused_in, unknown_in;
};

} // namespace

TEST_F(audit_who, is_told_of_a_run_and_its_session_beside_the_server_and_after_it) {
  for (const bool server_runs : {true, false}) {
    if (!server_runs)
      w.server.stop();
    for (const auto& id : {run, session}) {
      const auto told = who(id);
      EXPECT_EQ(told.exit_code, 0) << told.out;
      EXPECT_THAT(told.out, AllOf(HasSubstr(ada), HasSubstr("Ada"), HasSubstr(begun_in),
                                  HasSubstr("run.step_started"), HasSubstr("the run's harness"),
                                  HasSubstr("session.turn_ended"), HasSubstr("the server")));
      EXPECT_THAT(told.out, AllOf(HasSubstr(eve + " (Eve)"), HasSubstr(refused_in),
                                  HasSubstr("403 forbidden"), HasSubstr("anonymous"),
                                  HasSubstr(unknown_in), HasSubstr("401 unauthorized")));
      EXPECT_THAT(told.out, Not(HasSubstr(ada_key)));
    }
  }
}

TEST_F(audit_who, is_told_as_json_from_a_ledger_alone) {
  const auto ledger = fmt::format("--ledger 'sqlite:{}' --json", w.folder / "data/ledger.db");
  const auto told = say(fmt::format("audit who {} {}", run, ledger));
  ASSERT_EQ(told.exit_code, 0) << told.out;
  EXPECT_EQ(json_at(told.out, "id"), run);
  EXPECT_EQ(json_at(told.out, "workspace"), "default");
  const auto people = json_elements(json_at(told.out, "who"));
  const auto asker = where(people, "principal", ada);
  ASSERT_EQ(asker.size(), 1U) << told.out;
  EXPECT_EQ(json_at(asker[0], "key.name"), "Ada");
  EXPECT_EQ(json_at(asker[0], "key.revoked_at"), "null");
  EXPECT_EQ(json_at(asker[0], "requests.0.request_id"), begun_in);
  EXPECT_EQ(json_at(where(people, "principal", run).at(0), "types.0.type"), "run.step_completed");
  EXPECT_EQ(json_at(where(people, "principal", run).at(0), "types.0.events"), "2");
  EXPECT_EQ(where(people, "principal", "system").size(), 1U);
  const auto refused = json_elements(json_at(told.out, "refused"));
  ASSERT_EQ(refused.size(), 2U) << told.out;
  EXPECT_EQ(json_at(refused[0], "principal"), eve);
  EXPECT_EQ(json_at(refused[0], "request_id"), refused_in);
  EXPECT_EQ(json_at(refused[0], "path"), "/api/v1/runs/" + run + "/fork");
  EXPECT_EQ(json_at(refused[1], "principal"), "anonymous");
}

TEST_F(audit_who, is_told_of_keys_agents_and_workspaces) {
  auto admin = w.client();
  EXPECT_EQ(admin.ask("DELETE", "/api/v1/keys/" + ada).status, 204);
  const auto key = who(ada);
  EXPECT_THAT(key.out, AllOf(HasSubstr("session.turn_accepted"), HasSubstr("run.started"),
                             HasSubstr("key.revoked"), HasSubstr("revoked 2")));
  EXPECT_THAT(who(eve).out, HasSubstr(refused_in)) << "what it tried";
  const auto agent = w.client().get("/api/v1/agents/told")["id"];
  EXPECT_THAT(who(agent).out, AllOf(HasSubstr("agent.created"), HasSubstr(ada)));
  EXPECT_THAT(who("default").out,
              AllOf(HasSubstr("workspace.created"), HasSubstr(ada), HasSubstr(eve)));
}

TEST_F(audit_who, says_what_is_wrong_with_the_call) {
  const auto nobody = who("run_01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_EQ(nobody.exit_code, 2);
  EXPECT_THAT(nobody.out, HasSubstr("holds nothing about run_01ARZ3NDEKTSV4RRFFQ69G5FAV"));
  const auto no_id = who("'no id'");
  EXPECT_EQ(no_id.exit_code, 2);
  EXPECT_THAT(no_id.out, HasSubstr("is no id"));
  const auto nowhere = say("audit who " + run + " --data '" + (w.folder / "elsewhere") + "'");
  EXPECT_EQ(nowhere.exit_code, 2) << nowhere.out;
}

} // namespace runledger::contract
