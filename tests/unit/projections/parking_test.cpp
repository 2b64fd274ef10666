#include "projections/queries/list_runs.hpp"
#include "projections/queries/projections_status.hpp"
#include "projections/queries/run_by_id.hpp"
#include "projections/queries/session_by_id.hpp"
#include "projections/queries/session_timeline.hpp"
#include "projections/render.hpp"
#include "tests/unit/projections/view_fixture.hpp"

namespace runledger::test {
namespace {

/// Two sessions with a run each: what happens to the first must not touch the second.
class parking_test : public view_test {
protected:
  session_id session = facts.fresh_session(), healthy = facts.fresh_session();
  run_id run = facts.fresh_run(session), other = facts.fresh_run(healthy);

  void SetUp() override {
    facts.write_session(session, facts.turn(run));
    facts.write_session(healthy, facts.turn(other));
    facts.write_run(session, run, run::started{});
  }
  void finish_both() {
    facts.write_run(session, run, run::succeeded{});
    facts.write_run(healthy, other, run::started{});
    facts.write_run(healthy, other, run::succeeded{});
  }
  void expect_other_is_fine() {
    auto found = views::run_by_id(*reader, facts.workspace, other.value);
    ASSERT_TRUE(found && *found);
    EXPECT_EQ((*found)->phase, run::phase::succeeded);
    expect_same_as_rebuilt();
  }
  views::timeline_page timeline() {
    auto page = views::session_timeline(*reader, facts.workspace, session.value, 0, 100);
    EXPECT_TRUE(page && *page);
    return page && *page ? **page : views::timeline_page{};
  }
  std::vector<std::string> parked_in(const std::string& view) {
    std::vector<std::string> out;
    auto status = views::projections_status(*reader);
    EXPECT_TRUE(status);
    for (const auto& one : *status)
      if (one.name == view)
        for (const auto& p : one.parked)
          out.push_back(p.entity);
    return out;
  }
};

// Goal: a damaged event of a run freezes the run's row, keeps its place in the timeline as
// `unreadable`, and nothing else.
TEST_F(parking_test, damaged_event_parks_its_run) {
  facts.write_run(session, run, run::step_started{"a", "A", "k", 1, {}, {}, {}});
  finish_both();
  ASSERT_TRUE(log.damage(stream_of(run), 2));
  fold();
  auto found = views::run_by_id(*reader, facts.workspace, run.value);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().what, read_error::kind::corrupt);
  EXPECT_EQ(found.error().stream, stream_of(run));
  EXPECT_EQ(found.error().seq, 2U);
  auto items = timeline().items;
  ASSERT_EQ(items.size(), 4U);
  EXPECT_NE(items[2].json.find("\"type\":\"unreadable\""), std::string::npos);
  EXPECT_NE(items[3].json.find("\"status\":\"succeeded\""), std::string::npos);
  EXPECT_EQ(parked_in("runs"), std::vector<std::string>{run.value});
  auto list = views::list_runs(*reader, facts.workspace, {});
  ASSERT_TRUE(list);
  EXPECT_EQ(list->items.size(), 1U);
  expect_other_is_fine();
}

// Goal: a fact that does not fit its run's state parks the run.
TEST_F(parking_test, unfit_fact_parks_its_run) {
  facts.write_run(session, run, run::started{});
  finish_both();
  fold(2);
  EXPECT_FALSE(views::run_by_id(*reader, facts.workspace, run.value));
  EXPECT_EQ(timeline().items.size(), 4U); // The seq depends on the type alone.
  expect_other_is_fine();
}

// Goal: data that cannot be read parks its run, though its hashes are right.
TEST_F(parking_test, unreadable_data_parks_its_run) {
  facts.write_raw(stream_of(run), full_type("run.usage_reported", 1), R"({"tokens_in":"many"})");
  finish_both();
  fold();
  EXPECT_FALSE(views::run_by_id(*reader, facts.workspace, run.value));
  auto items = timeline().items;
  ASSERT_EQ(items.size(), 4U);
  EXPECT_NE(items[2].json.find("\"type\":\"unreadable\""), std::string::npos);
  expect_other_is_fine();
}

// Goal: an event of an unknown type parks the timeline of its session, and only that.
TEST_F(parking_test, unknown_type_parks_the_timeline) {
  facts.write_raw(stream_of(run), full_type("run.dreamed", 1), "{}");
  finish_both();
  fold(1);
  EXPECT_EQ(timeline().items.size(), 2U); // What came before.
  EXPECT_EQ(parked_in("timeline"), std::vector<std::string>{session.value});
  auto found = views::run_by_id(*reader, facts.workspace, run.value);
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->phase, run::phase::succeeded);
  store.reset(); // Also when it is read from the file.
  facts.write_session(session, session::turn_ended{run, "succeeded"});
  facts.write_session(session, session::terminated{"end"});
  fold(1);
  EXPECT_EQ(timeline().items.size(), 2U);
  expect_other_is_fine();
}

// Goal: a session whose first event is damaged is told as corrupt; its timeline still has a place
// for everything.
TEST_F(parking_test, damaged_acceptance_parks_the_session) {
  finish_both();
  ASSERT_TRUE(log.damage(stream_of(session), 1));
  fold();
  EXPECT_FALSE(views::session_by_id(*reader, facts.workspace, session.value));
  auto found = views::run_by_id(*reader, facts.workspace, run.value);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().what, read_error::kind::corrupt);
  auto items = timeline().items;
  ASSERT_EQ(items.size(), 3U);
  EXPECT_NE(items[0].json.find("\"type\":\"unreadable\""), std::string::npos);
  expect_other_is_fine();
}

// Goal: damage in an event that takes no place in the timeline parks the session all the same.
TEST_F(parking_test, damaged_turn_end_parks_the_session) {
  finish_both();
  facts.write_session(session, session::turn_ended{run, "succeeded"});
  ASSERT_TRUE(log.damage(stream_of(session), 2));
  fold();
  EXPECT_FALSE(views::session_by_id(*reader, facts.workspace, session.value));
  EXPECT_TRUE(views::run_by_id(*reader, facts.workspace, run.value));
  EXPECT_EQ(timeline().items.size(), 3U);
  expect_other_is_fine();
}

// Goal: what is parked stays parked by the first event that did it, over restarts.
TEST_F(parking_test, first_event_is_named) {
  facts.write_run(session, run, run::started{});
  fold();
  store.reset();
  facts.write_run(session, run, run::started{});
  finish_both();
  fold();
  auto found = views::run_by_id(*reader, facts.workspace, run.value);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().seq, 2U);
  expect_other_is_fine();
}

} // namespace
} // namespace runledger::test
