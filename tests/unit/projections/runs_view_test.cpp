#include "events/log/file_blob_store.hpp"
#include "projections/queries/list_runs.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"
#include "projections/render.hpp"
#include "tests/unit/projections/view_fixture.hpp"

#include <filesystem>

namespace runledger::test {
namespace {

using std::chrono::milliseconds;

class runs_view_test : public view_test {
protected:
  session_id session = facts.fresh_session();
  run_id run = facts.fresh_run(session);

  void pass(std::int64_t ms) { facts.clock.time += milliseconds{ms}; }
  void accept() { facts.write_session(session, facts.turn(run)); }
  void start() {
    run::started fact;
    fact.session = session;
    fact.turn = 1;
    fact.limits.timeout_ms = 60'000;
    facts.write_run(session, run, fact);
  }
  views::run_row row() {
    fold();
    auto found = views::run_by_id(*reader, facts.workspace, run.value);
    EXPECT_TRUE(found && *found);
    return found && *found ? **found : views::run_row{};
  }
  std::string json() {
    std::string out;
    views::append_run_json(out, row());
    return out;
  }
};

// Goal: the run object has every member of the contract at each station of a run's life.
TEST_F(runs_view_test, run_object_from_acceptance_to_result) {
  accept();
  auto pending = json();
  EXPECT_EQ(pending, "{\"id\":\"" + run.value + "\",\"run_id\":\"" + run.value
                         + "\",\"session_id\":\"" + session.value
                         + "\",\"status\":\"pending\",\"kind\":\"agent\",\"trigger\":\"manual\","
                           "\"agent_id\":\"ag_01HZZZZZZZZZZZZZZZZZZZZZZZ\",\"agent_version\":1,"
                           "\"prompt\":\"do it\",\"initial_state\":null,\"result\":null,"
                           "\"error\":null,\"cost_usd\":0,\"tokens_in\":0,\"tokens_out\":0,"
                           "\"attempt\":0,\"steps_completed\":0,\"artifact_count\":0,"
                           "\"parent_run_id\":null,\"created_at\":\"2023-11-14T22:13:20.000Z\","
                           "\"started_at\":null,\"finished_at\":null}");
  pass(10);
  start();
  EXPECT_EQ(row().phase, run::phase::running);
  EXPECT_EQ(row().attempt, 1);
  pass(5);
  facts.write_run(session, run, run::step_started{"a", "A", "k", 1, {}, {}, {}});
  facts.write_run(session, run, run::step_completed{"a", 1, 5, {}, {}});
  facts.write_run(session, run, run::usage_reported{3, 4, micro_usd{520'000}, {}, {}, {}, {}});
  pass(5);
  run::succeeded end;
  end.attempt = 1;
  end.result.json = "{\"words\":3.50}";
  facts.write_run(session, run, end);
  auto done = json();
  EXPECT_NE(done.find("\"status\":\"succeeded\""), std::string::npos);
  EXPECT_NE(done.find("\"result\":{\"words\":3.50},\"error\":null,\"cost_usd\":0.52,"
                      "\"tokens_in\":3,\"tokens_out\":4,\"attempt\":1,\"steps_completed\":1"),
            std::string::npos);
  EXPECT_NE(done.find("\"started_at\":\"2023-11-14T22:13:20.010Z\","
                      "\"finished_at\":\"2023-11-14T22:13:20.020Z\""),
            std::string::npos);
  expect_same_as_rebuilt();
}

// Goal: a run may fail or be cancelled before it ever began.
TEST_F(runs_view_test, run_that_never_began) {
  accept();
  run::failed end;
  end.session = session;
  end.turn = 1;
  end.error = {"budget_exceeded", "The budget is used up."};
  facts.write_run(session, run, end);
  auto r = row();
  EXPECT_EQ(r.phase, run::phase::failed);
  EXPECT_EQ(r.attempt, 0);
  EXPECT_FALSE(r.started_at);
  EXPECT_NE(json().find("\"error\":{\"code\":\"budget_exceeded\","
                        "\"message\":\"The budget is used up.\"}"),
            std::string::npos);
}

// Goal: an object of another workspace does not exist.
TEST_F(runs_view_test, other_workspace_sees_nothing) {
  accept();
  fold();
  auto other = views::run_by_id(*reader, workspace_id{"ws_other"}, run.value);
  ASSERT_TRUE(other);
  EXPECT_FALSE(*other);
  auto items = views::session_timeline(*reader, workspace_id{"ws_other"}, session.value, 0, 10);
  ASSERT_TRUE(items);
  EXPECT_FALSE(*items);
}

// Goal: long inputs and results are not copied, and are answered whole.
TEST_F(runs_view_test, long_contents_come_from_the_ledger) {
  auto fact = facts.turn(run);
  fact.prompt = {};
  fact.initial_state.json = "{\"text\":\"" + std::string(5000, 'x') + "\"}";
  facts.write_session(session, fact);
  start();
  run::succeeded end;
  end.result.json = '"' + std::string(3000, 'y') + '"';
  facts.write_run(session, run, end);
  auto r = row();
  EXPECT_EQ(r.prompt, "");
  EXPECT_EQ(r.initial_state, fact.initial_state.json);
  EXPECT_EQ(r.result, end.result.json);
}

// Goal: content in the blob store is answered whole, in the run object and in the timeline; a blob
// that is gone is told with the event that names it.
TEST_F(runs_view_test, contents_in_the_blob_store) {
  auto blobs = file_blob_store::open(folder / "blobs");
  ASSERT_TRUE(blobs);
  auto fact = facts.turn(run);
  fact.prompt = text_payload(std::string(blob_threshold_bytes, 'p'));
  auto prompt = fact.prompt.json;
  ASSERT_TRUE(externalize(fact, **blobs));
  ASSERT_TRUE(fact.prompt.blob);
  facts.write_session(session, fact);
  fold();
  auto opened = views::view_reader::open(path, log, blobs->get());
  ASSERT_TRUE(opened);
  auto found = views::run_by_id(**opened, facts.workspace, run.value);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->prompt, prompt);
  auto items = views::session_timeline(**opened, facts.workspace, session.value, 0, 10);
  ASSERT_TRUE(items && *items);
  EXPECT_NE((*items)->items.at(0).json.find("\"content\":" + prompt), std::string::npos);

  auto file = (*blobs)->path_of(fact.prompt.blob->id);
  ASSERT_TRUE(file && std::filesystem::remove(*file));
  auto gone = views::run_by_id(**opened, facts.workspace, run.value);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().what, read_error::kind::corrupt);
  EXPECT_EQ(gone.error().stream, stream_of(session));
  EXPECT_EQ(gone.error().seq, 1U);
}

// Goal: the timeline has one item for each event that takes a seq, in order, and resumes after any.
TEST_F(runs_view_test, timeline_in_order_and_resumed) {
  accept();
  start();
  for (int i = 0; i < 300; ++i) { // More than two chunks.
    facts.write_run(session, run,
                    run::logged{i % 2 == 0 ? "debug" : "info", std::to_string(i), {}, {}});
    if (i % 7 == 0)
      fold(3);
  }
  run::succeeded end;
  facts.write_run(session, run, end);
  fold(2);
  auto all = views::session_timeline(*reader, facts.workspace, session.value, 0, 1000);
  ASSERT_TRUE(all && *all);
  ASSERT_EQ((*all)->items.size(), 303U);
  EXPECT_TRUE((*all)->at_end);
  for (std::size_t i = 0; i < 303; ++i)
    EXPECT_EQ((*all)->items[i].seq, i + 1);
  EXPECT_NE((*all)->items[0].json.find("\"type\":\"user_message\""), std::string::npos);
  EXPECT_TRUE((*all)->items[302].ends_run);

  std::string pieces, whole;
  for (const auto& item : (*all)->items)
    whole += item.json;
  for (std::uint64_t since = 0; since < 303;) {
    auto page = views::session_timeline(*reader, facts.workspace, session.value, since, 50);
    ASSERT_TRUE(page && *page);
    ASSERT_FALSE((*page)->items.empty());
    for (const auto& item : (*page)->items)
      pieces += item.json;
    since = (*page)->scanned;
  }
  EXPECT_EQ(pieces, whole);

  auto signal = views::run_log_events(*reader, facts.workspace, run.value, 0, 1000);
  ASSERT_TRUE(signal && *signal);
  EXPECT_EQ((*signal)->items.size(), 152U); // 150 logs, started, succeeded.
  EXPECT_EQ((*signal)->items[1].seq, 4U);   // The second log, under the session's seq.
  expect_same_as_rebuilt();
}

// Goal: every page of a list follows the one before, also while new runs arrive.
TEST_F(runs_view_test, list_is_stable_while_runs_arrive) {
  std::vector<std::string> expected;
  for (int i = 0; i < 25; ++i) {
    if (i % 3 == 0)
      pass(1);
    auto s = facts.fresh_session();
    auto r = facts.fresh_run(s);
    facts.write_session(s, facts.turn(r));
    expected.insert(expected.begin(), r.value);
  }
  fold();
  views::run_filter filter;
  filter.limit = 10;
  std::vector<std::string> got;
  for (;;) {
    auto page = views::list_runs(*reader, facts.workspace, filter);
    ASSERT_TRUE(page) << page.error().detail;
    for (const auto& r : page->items)
      got.push_back(r.id.value);
    if (page->next.empty())
      break;
    filter.after = views::parse_cursor(page->next);
    ASSERT_TRUE(filter.after);
    auto late = facts.fresh_session();
    facts.write_session(late, facts.turn(facts.fresh_run(late)));
    fold();
  }
  EXPECT_EQ(got, expected);
}

// Goal: each filter alone and together gives exactly the runs that match.
TEST_F(runs_view_test, list_filters) {
  accept();
  start();
  auto other_session = facts.fresh_session();
  auto other_run = facts.fresh_run(other_session);
  auto fact = facts.turn(other_run);
  fact.agent = agent_id{"ag_other"};
  fact.trigger = "schedule";
  facts.write_session(other_session, fact);
  fold();
  using field = std::string views::run_filter::*;
  using list = std::vector<std::string>;
  auto ids = [&](const std::vector<std::pair<field, std::string>>& conditions) {
    views::run_filter filter;
    for (const auto& [which, text] : conditions)
      filter.*which = text;
    list out;
    auto page = views::list_runs(*reader, facts.workspace, filter);
    EXPECT_TRUE(page) << page.error().detail;
    if (page)
      for (const auto& r : page->items)
        out.push_back(r.id.value);
    return out;
  };
  using views::run_filter;
  list first{run.value}, second{other_run.value}, both{other_run.value, run.value};
  EXPECT_EQ(ids({}), both);
  EXPECT_EQ(ids({{&run_filter::agent_id, "ag_other"}}), second);
  EXPECT_EQ(ids({{&run_filter::session_id, session.value}}), first);
  EXPECT_EQ(ids({{&run_filter::trigger, "schedule"}}), second);
  EXPECT_EQ(ids({{&run_filter::kind, "agent"}}), both);
  EXPECT_EQ(ids({{&run_filter::kind, "none"}}), list{});
  EXPECT_EQ(ids({{&run_filter::status, "running"}}), first);
  EXPECT_EQ(ids({{&run_filter::status, "pending"}}), second);
  EXPECT_EQ(ids({{&run_filter::status, "succeeded"}}), list{});
  EXPECT_EQ(ids({{&run_filter::status, "nonsense"}}), list{});
  EXPECT_EQ(ids({{&run_filter::agent_id, "ag_other"}, {&run_filter::trigger, "manual"}}), list{});
}

} // namespace
} // namespace runledger::test
