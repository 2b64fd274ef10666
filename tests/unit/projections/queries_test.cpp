#include "projections/queries/agent_analytics.hpp"
#include "projections/queries/explain_run.hpp"
#include "projections/queries/list_sessions.hpp"
#include "projections/queries/projections_status.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"
#include "projections/reader_internals.hpp"
#include "projections/render.hpp"
#include "tests/unit/projections/view_fixture.hpp"

namespace runledger::test {
namespace {

using std::chrono::milliseconds;

class queries_test : public view_test {
protected:
  session_id session = facts.fresh_session();
  run_id run = facts.fresh_run(session);

  void pass(std::int64_t ms) { facts.clock.time += milliseconds{ms}; }
  views::explanation explain(const run_id& id) {
    fold();
    auto found = views::explain_run(*reader, facts.workspace, id.value, facts.clock.time);
    EXPECT_TRUE(found && *found);
    return found && *found ? **found : views::explanation{};
  }
};

// Goal: each reason, the event that caused it, and how long it lasts.
TEST_F(queries_test, explanations) {
  facts.write_session(session, facts.turn(run));
  auto queued = explain(run);
  EXPECT_EQ(queued.reason, "queued");
  EXPECT_EQ(queued.event_id, session.value + ":1");
  auto second = facts.fresh_run(session);
  facts.write_session(session, facts.turn(second, 2));
  EXPECT_NE(explain(second).summary.find(run.value), std::string::npos);
  EXPECT_EQ(explain(second).event_id, session.value + ":2");

  run::started start;
  start.limits.timeout_ms = 5000;
  facts.write_run(session, run, start);
  auto executing = explain(run);
  EXPECT_EQ(executing.reason, "executing");
  EXPECT_EQ(executing.event_id, run.value + ":1");
  EXPECT_EQ(executing.until, facts.clock.time + milliseconds{5000});
  facts.write_run(session, run, run::step_started{"a", "A", "k", 1, {}, {}, {}});
  EXPECT_EQ(explain(run).event_id, run.value + ":1");

  run::attempt_failed failed{
      1, {"process_exit", "gone"}, true, 2, 200, facts.clock.time + milliseconds{200}};
  facts.write_run(session, run, failed);
  auto waiting = explain(run);
  EXPECT_EQ(waiting.reason, "backing_off");
  EXPECT_EQ(waiting.event_id, run.value + ":3");
  EXPECT_EQ(waiting.until, failed.due);
  pass(200);
  EXPECT_EQ(explain(run).reason, "waiting_for_worker");
  EXPECT_FALSE(explain(run).until);

  facts.write_run(session, run, run::attempt_started{2, {}});
  EXPECT_EQ(explain(run).reason, "executing");
  facts.write_run(session, run, run::cancel_requested{"asked", facts.clock.time});
  EXPECT_EQ(explain(run).until, facts.clock.time);
  facts.write_run(session, run, run::cancelled{{}, 0, 2, "asked"});
  auto done = explain(run);
  EXPECT_EQ(done.reason, "finished");
  EXPECT_EQ(done.status, "cancelled");
  EXPECT_EQ(done.event_id, run.value + ":6");
  std::string json;
  views::append_explanation_json(json, done);
  EXPECT_EQ(json, "{\"run_id\":\"" + run.value
                      + "\",\"status\":\"cancelled\",\"reason\":\"finished\","
                        "\"summary\":\"The run was cancelled.\",\"event_id\":\""
                      + run.value + ":6\"}");
}

// Goal: the session object with its turns, active, cancelling and terminated.
TEST_F(queries_test, session_object) {
  facts.write_session(session, facts.turn(run));
  pass(5);
  facts.write_session(session, session::cancel_requested{"asked", {}, {}});
  fold();
  auto found = views::session_by_id(*reader, facts.workspace, session.value);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->session.phase, session::phase::cancelling);
  run::cancelled end;
  end.session = session;
  end.turn = 1;
  facts.write_run(session, run, end);
  facts.write_session(session, session::turn_ended{run, "cancelled"});
  facts.write_session(session, session::terminated{"asked"});
  fold();
  found = views::session_by_id(*reader, facts.workspace, session.value);
  ASSERT_TRUE(found && *found);
  std::string json;
  views::append_session_json(json, (*found)->session, (*found)->runs);
  EXPECT_EQ(json, "{\"id\":\"" + session.value
                      + "\",\"agent_id\":\"ag_01HZZZZZZZZZZZZZZZZZZZZZZZ\",\"agent_version\":1,"
                        "\"status\":\"terminated\",\"runs\":[{\"id\":\""
                      + run.value + "\",\"run_id\":\"" + run.value
                      + "\",\"status\":\"cancelled\",\"created_at\":\"2023-11-14T22:13:20.000Z\","
                        "\"finished_at\":\"2023-11-14T22:13:20.005Z\"}],"
                        "\"created_at\":\"2023-11-14T22:13:20.000Z\","
                        "\"last_activity_at\":\"2023-11-14T22:13:20.005Z\","
                        "\"terminated_at\":\"2023-11-14T22:13:20.005Z\"}");
  views::accepted_message message{run, "{\"seq\":1}"};
  json.clear();
  views::append_session_json(json, (*found)->session, (*found)->runs, &message);
  EXPECT_TRUE(json.ends_with(",\"run_id\":\"" + run.value + "\",\"events\":[{\"seq\":1}]}"));
  auto page = views::session_timeline(*reader, facts.workspace, session.value, 0, 10);
  ASSERT_TRUE(page && *page);
  EXPECT_TRUE((*page)->items.back().ends_session);
  auto list = views::list_sessions(*reader, facts.workspace, {{}, "terminated", 50, {}});
  ASSERT_TRUE(list);
  EXPECT_EQ(list->items.size(), 1U);
  EXPECT_EQ(list->items[0].runs.size(), 1U);
  EXPECT_TRUE(
      views::list_sessions(*reader, facts.workspace, {{}, "active", 50, {}})->items.empty());
}

// Goal: sums per agent and together are exact, and the range is half open.
TEST_F(queries_test, analytics_are_exact) {
  auto begin = facts.clock.time;
  for (int i = 0; i < 3; ++i) {
    auto s = facts.fresh_session();
    auto r = facts.fresh_run(s);
    auto fact = facts.turn(r);
    fact.agent = agent_id{i == 2 ? "ag_b" : "ag_a"};
    fact.agent_slug = i == 2 ? "b" : "a";
    facts.write_session(s, fact);
    facts.write_run(s, r, run::started{});
    facts.write_run(s, r, run::usage_reported{1, 2, micro_usd{100'001}, {}, {}, {}, {}});
    pass(1500);
    if (i == 0)
      facts.write_run(s, r, run::failed{{}, 0, 1, {"x", "y"}, {}});
    else
      facts.write_run(s, r, run::succeeded{});
  }
  fold();
  auto sums = views::agent_analytics(*reader, facts.workspace, begin, begin + milliseconds{3001});
  ASSERT_TRUE(sums);
  std::string json;
  views::append_analytics_json(json, *sums);
  EXPECT_EQ(json,
            "{\"start\":\"2023-11-14T22:13:20.000Z\",\"end\":\"2023-11-14T22:13:23.001Z\","
            "\"agents\":[{\"agent_id\":\"ag_a\",\"agent_slug\":\"a\",\"runs\":2,\"succeeded\":1,"
            "\"failed\":1,\"cancelled\":0,\"cost_usd\":0.200002,\"tokens_in\":2,\"tokens_out\":4,"
            "\"duration_seconds\":3,\"last_run_at\":\"2023-11-14T22:13:21.500Z\"},"
            "{\"agent_id\":\"ag_b\",\"agent_slug\":\"b\",\"runs\":1,\"succeeded\":1,\"failed\":0,"
            "\"cancelled\":0,\"cost_usd\":0.100001,\"tokens_in\":1,\"tokens_out\":2,"
            "\"duration_seconds\":1.5,\"last_run_at\":\"2023-11-14T22:13:23.000Z\"}],"
            "\"total\":{\"runs\":3,\"succeeded\":2,\"failed\":1,\"cancelled\":0,"
            "\"cost_usd\":0.300003,\"tokens_in\":3,\"tokens_out\":6,\"duration_seconds\":4.5,"
            "\"last_run_at\":\"2023-11-14T22:13:23.000Z\"}}");
  auto without_last =
      views::agent_analytics(*reader, facts.workspace, begin, begin + milliseconds{3000});
  EXPECT_EQ(without_last->total.runs, 2);
  auto nothing =
      views::agent_analytics(*reader, workspace_id{"ws_other"}, begin, begin + milliseconds{9000});
  EXPECT_EQ(nothing->total.runs, 0);
}

// Goal: the status tells how far the views are behind.
TEST_F(queries_test, status_of_projections) {
  facts.write_session(session, facts.turn(run));
  fold();
  auto status = views::projections_status(*reader);
  ASSERT_TRUE(status);
  EXPECT_EQ(status->front().lag, 0);
  EXPECT_EQ(status->front().state, "live");
  facts.write_run(session, run, run::started{});
  status = views::projections_status(*reader);
  EXPECT_EQ(status->front().lag, 1);
  EXPECT_EQ(status->front().state, "behind");
  std::string json;
  views::append_projection_json(json, status->front());
  EXPECT_EQ(json, "{\"name\":\"runs\",\"position\":3,\"lag\":1,\"state\":\"behind\","
                  "\"parked\":[]}");
}

// Goal: a cursor is what to_text wrote, and nothing else is one.
TEST_F(queries_test, cursors) {
  for (views::list_cursor c :
       {views::list_cursor{0, 0}, {1'700'000'000'000, 12}, {-5, 3}, {INT64_MAX, INT64_MAX}}) {
    auto read = views::parse_cursor(views::to_text(c));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->created_ms, c.created_ms);
    EXPECT_EQ(read->at, c.at);
  }
  for (const char* text :
       {"", "p", "1p", "p1", "1p2p3", "01p2", "1p2 ", "xpy", "-1p2", "11111111111111111p1", "1P2"})
    EXPECT_FALSE(views::parse_cursor(text)) << text;
}

// Goal: no list sorts its rows: an index gives their order, however long the list is.
TEST_F(queries_test, lists_read_along_an_index) {
  facts.write_session(session, facts.turn(run));
  fold();
  const char* lists[] = {
      RUNLEDGER_RUN_SELECT "WHERE r.workspace = ?1 AND (r.created_ms, r.at) < (?2, ?3) AND "
                           "r.parked = 0 ORDER BY r.created_ms DESC, r.at DESC LIMIT ?4",
      RUNLEDGER_RUN_SELECT "WHERE r.workspace = ?1 AND (r.created_ms, r.at) < (?2, ?3) AND "
                           "r.parked = 0 AND r.agent_id = ?5 ORDER BY r.created_ms DESC, r.at DESC "
                           "LIMIT ?4",
      RUNLEDGER_RUN_SELECT "WHERE r.workspace = ?1 AND (r.created_ms, r.at) < (?2, ?3) AND "
                           "r.parked = 0 AND r.phase < 3 AND r.phase = 0 "
                           "ORDER BY r.created_ms DESC, r.at DESC LIMIT ?4",
      RUNLEDGER_SESSION_SELECT "WHERE s.workspace = ?1 AND (s.created_ms, s.at) < (?2, ?3) AND "
                               "s.parked = 0 ORDER BY s.created_ms DESC, s.at DESC LIMIT ?4",
  };
  const char* indexes[] = {"runs_listed", "runs_of_agent", "runs_unfinished", "sessions_listed"};
  for (std::size_t i = 0; i < 4; ++i) {
    views::query plan{reader->inside().db, std::string{"EXPLAIN QUERY PLAN "} + lists[i]};
    std::string text;
    while (plan.row())
      text += std::string{plan.raw().text(3)} + '\n';
    EXPECT_EQ(text.find("TEMP B-TREE"), std::string::npos) << text;
    EXPECT_NE(text.find(indexes[i]), std::string::npos) << text;
  }
}

// Goal: a page names each item's type, and large items end it early, at a place to go on from.
TEST_F(queries_test, timeline_pages_are_bounded_in_bytes) {
  auto session = facts.fresh_session();
  auto run = facts.fresh_run(session);
  facts.write_session(session, facts.turn(run));
  facts.write_run(session, run, run::started{});
  for (int i = 0; i < 12; ++i)
    facts.write_run(session, run, run::logged{"info", std::string(200'000, 'x'), {}, {}});
  fold();
  auto first = views::session_timeline(*reader, facts.workspace, session.value, 0, 100);
  ASSERT_TRUE(first && *first);
  auto& page = **first;
  EXPECT_EQ(page.items[0].type, "user_message");
  EXPECT_EQ(page.items[1].type, "run_status");
  EXPECT_EQ(page.items[2].type, "log");
  EXPECT_EQ(page.items.size(), 8U); // Six of 200 kB fill it.
  EXPECT_EQ(page.scanned, 8U);
  EXPECT_FALSE(page.at_end);
  auto second = views::session_timeline(*reader, facts.workspace, session.value, 8, 100);
  ASSERT_TRUE(second && *second);
  EXPECT_EQ((*second)->items.front().seq, 9U);
  EXPECT_EQ((*second)->items.back().seq, 14U);
}

} // namespace
} // namespace runledger::test
