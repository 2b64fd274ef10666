#include "projections/queries/agents.hpp"
#include "projections/queries/artifacts.hpp"
#include "projections/queries/keys.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/workers.hpp"
#include "projections/queries/workspaces.hpp"
#include "projections/render.hpp"
#include "tests/unit/projections/view_fixture.hpp"

namespace runledger::test {
namespace {

class catalog_views_test : public view_test {
protected:
  agent_id agent = facts.fresh<agent_id_tag>("ag_");

  template <class Fact>
  void write_agent(const Fact& fact) {
    facts.write(stream_of(agent), agent::event{fact});
    facts.clock.time += std::chrono::milliseconds{10};
  }
  void create_agent() {
    agent::created fact;
    fact.slug = "helper";
    fact.title = "Helper";
    fact.recipe.json = R"({"harness":{"kind":"process"}})";
    write_agent(fact);
  }
};

// Goal: an agent by id and by slug, its versions in each of their phases, the highest active one.
TEST_F(catalog_views_test, agent_and_versions) {
  create_agent();
  fold();
  write_agent(agent::version_created{2, payload{R"({"v":2})", {}}, {}, {}, {}});
  write_agent(agent::draft_changed{2, payload{R"({"v":2.10})", {}}});
  fold();
  auto draft = views::agent_by_ref(*reader, facts.workspace, "helper");
  ASSERT_TRUE(draft && *draft);
  EXPECT_EQ((*draft)->agent.active_version, 1);
  ASSERT_EQ((*draft)->versions.size(), 2U);
  EXPECT_EQ((*draft)->versions[0].status, "active");
  EXPECT_EQ((*draft)->versions[1].status, "draft");
  write_agent(agent::version_activated{2});
  fold();
  write_agent(agent::version_archived{1});
  fold();
  auto found = views::agent_by_ref(*reader, facts.workspace, agent.value);
  ASSERT_TRUE(found && *found);
  std::string json;
  views::append_agent_json(json, (*found)->agent, &(*found)->versions);
  EXPECT_EQ(json, "{\"id\":\"" + agent.value
                      + "\",\"slug\":\"helper\",\"name\":\"Helper\",\"description\":null,"
                        "\"active_version\":2,\"versions\":["
                        "{\"version\":1,\"status\":\"archived\","
                        "\"created_at\":\"2023-11-14T22:13:20.000Z\"},"
                        "{\"version\":2,\"status\":\"active\","
                        "\"created_at\":\"2023-11-14T22:13:20.010Z\"}],"
                        "\"created_at\":\"2023-11-14T22:13:20.000Z\","
                        "\"updated_at\":\"2023-11-14T22:13:20.040Z\"}");
  auto version = views::agent_version(*reader, (*found)->agent, 2);
  ASSERT_TRUE(version && *version);
  EXPECT_EQ((*version)->recipe, R"({"v":2.10})");
  auto none = views::agent_version(*reader, (*found)->agent, 3);
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  auto list = views::list_versions(*reader, (*found)->agent, 1, {});
  ASSERT_TRUE(list);
  ASSERT_EQ(list->items.size(), 1U);
  EXPECT_EQ(list->items[0].version, 2);
  auto rest = views::list_versions(*reader, (*found)->agent, 1, views::parse_cursor(list->next));
  ASSERT_TRUE(rest);
  ASSERT_EQ(rest->items.size(), 1U);
  EXPECT_EQ(rest->items[0].recipe, R"({"harness":{"kind":"process"}})");
  EXPECT_TRUE(rest->next.empty());
  expect_same_as_rebuilt();
}

// Goal: agents of another workspace are neither found nor listed.
TEST_F(catalog_views_test, agents_of_another_workspace) {
  create_agent();
  fold();
  workspace_id other{"ws_other"};
  EXPECT_FALSE(*views::agent_by_ref(*reader, other, agent.value));
  EXPECT_FALSE(*views::agent_by_ref(*reader, other, "helper"));
  EXPECT_TRUE(views::list_agents(*reader, other, 50, {})->items.empty());
  EXPECT_EQ(views::list_agents(*reader, facts.workspace, 50, {})->items.size(), 1U);
}

// Goal: a key opens from its creation until it is revoked, and is told by its secret's hash.
TEST_F(catalog_views_test, keys) {
  auto id = facts.fresh<key_id_tag>("key_");
  key::created fact;
  fact.title = "ci";
  fact.scopes = {"read", "write"};
  fact.secret_hash = sha256("secret");
  fact.expires_at = facts.clock.time;
  facts.write(stream_of(id), key::event{fact});
  fold();
  EXPECT_TRUE(store->changes().keys);
  auto found = views::key_by_secret(*reader, sha256("secret"));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->id, id);
  EXPECT_EQ((*found)->scopes, key::read | key::write);
  EXPECT_FALSE(*views::key_by_secret(*reader, sha256("other")));
  std::string shown, hidden, replayed;
  std::string secret = "rlk_x", none;
  views::append_key_json(hidden, **found);
  views::append_key_json(shown, **found, &secret);
  views::append_key_json(replayed, **found, &none);
  EXPECT_EQ(hidden, "{\"id\":\"" + id.value
                        + "\",\"name\":\"ci\",\"workspace\":\"default\","
                          "\"scopes\":[\"read\",\"write\"],"
                          "\"created_at\":\"2023-11-14T22:13:20.000Z\","
                          "\"expires_at\":\"2023-11-14T22:13:20.000Z\"}");
  EXPECT_TRUE(shown.ends_with(",\"key\":\"rlk_x\"}"));
  EXPECT_TRUE(replayed.ends_with(",\"key\":null}"));
  EXPECT_EQ(views::list_keys(*reader, 50, {})->items.size(), 1U);

  facts.write(stream_of(id), key::event{key::revoked{}});
  fold();
  EXPECT_FALSE(*views::key_by_secret(*reader, sha256("secret")));
  EXPECT_TRUE(views::all_valid_keys(*reader)->empty());
  EXPECT_TRUE(views::list_keys(*reader, 50, {})->items.empty());
  EXPECT_TRUE((*views::key_by_id(*reader, id.value))->revoked_at);
  expect_same_as_rebuilt();
}

// Goal: a key whose history cannot be read opens nothing: it may have been revoked.
TEST_F(catalog_views_test, damaged_key_opens_nothing) {
  auto id = facts.fresh<key_id_tag>("key_");
  key::created fact;
  fact.secret_hash = sha256("secret");
  facts.write(stream_of(id), key::event{fact});
  facts.write(stream_of(id), key::event{key::revoked{}});
  ASSERT_TRUE(log.damage(stream_of(id), 2));
  fold();
  EXPECT_FALSE(*views::key_by_secret(*reader, sha256("secret")));
  EXPECT_TRUE(views::all_valid_keys(*reader)->empty());
}

// Goal: a worker shows what it does, and names no agent of another workspace.
TEST_F(catalog_views_test, workers) {
  create_agent();
  auto id = facts.fresh<worker_id_tag>("wrk_");
  facts.workspace.value = "system";
  facts.write(stream_of(id), worker::event{worker::registered{"node", 3}});
  worker::process_started begun;
  begun.agent = agent;
  begun.agent_version = 1;
  begun.layers = {"bubblewrap", "rlimits"};
  facts.write(stream_of(id), worker::event{begun});
  fold();
  auto list = views::list_workers(*reader, workspace_id{"default"}, 50, {});
  ASSERT_TRUE(list);
  ASSERT_EQ(list->items.size(), 1U);
  std::string json;
  views::append_worker_json(json, list->items[0]);
  EXPECT_NE(json.find("\"status\":\"busy\",\"node\":\"node\",\"slot\":3,\"queue\":null"),
            std::string::npos)
      << json;
  EXPECT_NE(json.find("\"agent_id\":\"" + agent.value
                      + "\",\"agent_version\":1,\"layers\":[\"bubblewrap\",\"rlimits\"]"),
            std::string::npos)
      << json;
  auto foreign = views::list_workers(*reader, workspace_id{"ws_other"}, 50, {});
  ASSERT_TRUE(foreign);
  EXPECT_TRUE(foreign->items.at(0).agent.empty());
  facts.write(stream_of(id), worker::event{worker::process_ended{"done", 0, 0}});
  fold();
  auto idle = views::list_workers(*reader, workspace_id{"default"}, 50, {});
  EXPECT_FALSE(idle->items.at(0).busy);
  EXPECT_EQ(idle->items.at(0).last_reason, "done");
  expect_same_as_rebuilt();
}

// Goal: workspaces are listed, and found by id.
TEST_F(catalog_views_test, workspaces) {
  workspace::created fact;
  fact.title = "Team";
  facts.write(stream_of(workspace_id{"ws_team"}), workspace::event{fact});
  fold();
  auto found = views::workspace_by_id(*reader, "ws_team");
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->name, "Team");
  EXPECT_FALSE(*views::workspace_by_id(*reader, "ws_none"));
  EXPECT_EQ(views::list_workspaces(*reader, 50, {})->items.size(), 1U);
  expect_same_as_rebuilt();
}

// Goal: artifacts of a run, newest first, by pages; one by id in its own workspace only.
TEST_F(catalog_views_test, artifacts) {
  auto session = facts.fresh_session();
  auto run = facts.fresh_run(session);
  facts.write_session(session, facts.turn(run));
  facts.write_run(session, run, run::started{});
  std::vector<artifact_id> ids;
  for (int i = 0; i < 3; ++i) {
    run::artifact_published fact;
    fact.artifact = ids.emplace_back(facts.fresh<artifact_id_tag>("art_"));
    fact.title = "out.txt";
    fact.media_type = "text/plain";
    fact.size_bytes = i;
    fact.content = sha256("content");
    facts.write_run(session, run, fact);
  }
  fold();
  auto row = views::run_by_id(*reader, facts.workspace, run.value);
  ASSERT_TRUE(row && *row);
  EXPECT_EQ((*row)->artifact_count, 3);
  auto page = views::list_artifacts(*reader, **row, 2, {});
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 2U);
  EXPECT_EQ(page->items[0].id, ids[2]);
  auto rest = views::list_artifacts(*reader, **row, 2, views::parse_cursor(page->next));
  ASSERT_EQ(rest->items.size(), 1U);
  EXPECT_EQ(rest->items[0].id, ids[0]);
  EXPECT_EQ(rest->items[0].run, run);
  std::string json;
  views::append_artifact_json(json, rest->items[0]);
  EXPECT_NE(json.find("\"digest\":\"sha256:" + to_hex(sha256("content")) + '"'), std::string::npos);
  EXPECT_TRUE(*views::artifact_by_id(*reader, facts.workspace, ids[1].value));
  EXPECT_FALSE(*views::artifact_by_id(*reader, workspace_id{"ws_other"}, ids[1].value));
}

} // namespace
} // namespace runledger::test
