#include "projections/replay/as_of.hpp"

#include "events/log/memory_log.hpp"
#include "projections/replay/history.hpp"
#include "tests/support/history.hpp"

#include <gtest/gtest.h>

namespace runledger::test {

using replay::point;

// Goal: the grammar of a point, each form, and nothing beside it.
TEST(replay_point, grammar) {
  struct known {
    const char *text, *same;
  };
  for (const auto& [text, same] :
       {known{"12", "seq:12"}, known{"seq:12", "seq:12"}, known{"seq:0", "seq:0"},
        known{"offset:0", "offset:0"},
        known{"offset:9223372036854775807", "offset:9223372036854775807"},
        known{"2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"},
        known{"2026-01-31T13:00:00.5+01:00", "2026-01-31T12:00:00.500Z"}}) {
    const auto parsed = replay::parse_point(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(replay::to_text(*parsed), same);
    const auto again = replay::parse_point(same);
    ASSERT_TRUE(again) << same;
    EXPECT_EQ(replay::to_text(*again), same);
  }
  for (const char* text :
       {"", "seq:", "offset:", "-1", "seq:-1", "+1", "1.5", "0x1", "12 ", " 12", "seq: 12", "SEQ:1",
        "9223372036854775808", "offset:99999999999999999999", "yesterday", "2026-01-31",
        "2026-01-31T12:00:00", "seq:2026-01-31T12:00:00Z", "offset"})
    EXPECT_FALSE(replay::parse_point(text)) << text;
}

namespace {

class replayed : public testing::Test {
protected:
  memory_log log_;
  history facts_{log_};
  session_id session_ = facts_.fresh_session();
  run_id run_ = facts_.fresh_run(session_);

  void accept() { facts_.write(stream_of(session_), session::event{facts_.turn(run_)}, {}, true); }
  void start() {
    run::started fact;
    fact.session = session_;
    facts_.write_run(session_, run_, fact);
  }
  replay::answer<views::run_row> run_at(const point& when) const {
    return replay::run_as_of({log_, nullptr}, run_, when);
  }
};

point seq(std::int64_t n) {
  return {point::kind::seq, n, {}};
}

} // namespace

// Goal: a run without events of its own is found by its unfinished session, among others of the
// same moment.
TEST_F(replayed, a_pending_run_is_found) {
  EXPECT_FALSE(*run_at(seq(0)));
  for (int i = 0; i < 5; ++i) {
    const auto other = facts_.fresh_session();
    facts_.write(stream_of(other), session::event{facts_.turn(facts_.fresh_run(other))}, {}, true);
  }
  accept();
  const auto found = run_at(seq(0));
  ASSERT_TRUE(found && *found);
  EXPECT_EQ((*found)->row.phase, run::phase::absent);
  EXPECT_EQ((*found)->last->event.id(), session_.value + ":1");
  EXPECT_EQ((*found)->row.session, session_);
}

// Goal: an event that does not fit is no obstacle before it and is told with its place behind it;
// an event of an unknown type changes nothing.
TEST_F(replayed, damage_counts_from_where_it_stands) {
  accept();
  start();
  facts_.write_raw(stream_of(run_), full_type("run.dreamt", 1), "{}", session_.value, true);
  start(); // A second time: it does not fit.
  for (std::int64_t n : {1, 2}) {
    const auto sound = run_at(seq(n));
    ASSERT_TRUE(sound && *sound) << n;
    EXPECT_EQ((*sound)->row.phase, run::phase::running);
  }
  for (const auto& when : {seq(3), point{point::kind::offset, INT64_MAX, {}},
                           point{point::kind::time, 0, facts_.clock.time}}) {
    const auto refused = run_at(when);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().what, read_error::kind::corrupt);
    EXPECT_EQ(refused.error().stream, stream_of(run_));
    EXPECT_EQ(refused.error().seq, 3u);
    EXPECT_NE(refused.error().detail.find("does not fit"), std::string::npos);
  }
  const auto session = replay::session_as_of({log_, nullptr}, session_, seq(99));
  ASSERT_TRUE(session && *session);
  EXPECT_EQ((*session)->row.runs.at(0).phase, run::phase::running); // As its row in the views.
}

// Goal: contents that stand in a blob are null without a blob store, and that is told.
TEST_F(replayed, contents_without_a_blob_store) {
  auto fact = facts_.turn(run_);
  fact.prompt = {};
  fact.prompt.blob = blob_ref{sha256("long"), 400'000};
  facts_.write(stream_of(session_), session::event{fact}, {}, true);
  const auto found = run_at(seq(0));
  ASSERT_TRUE(found && *found);
  EXPECT_TRUE((*found)->content_missing);
  EXPECT_EQ((*found)->row.prompt, "");
}

} // namespace runledger::test
