#include "tests/sim/story.hpp"

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::Not;

class stories_runs : public story {
protected:
  std::size_t retries(const run_id& run) const {
    return count(stream_of(run), "run.step_retrying");
  }
  std::size_t starts(const run_id& run) const { return count(stream_of(run), "run.step_started"); }
};

// Goal: wherever a cancellation meets a run on its way to success, one terminal event follows, and
// once the cancellation is durable it is `cancelled`.
TEST_F(stories_runs, cancel_races_success) {
  begin();
  let(1, {step("a"), usage("u", 5)});
  int cancelled = 0, succeeded = 0;
  for (int place = 0; place < 200 && succeeded < 3; ++place) {
    auto got = accept_run(1);
    const auto run = got.fact->run;
    for (int i = 0; i < place; ++i)
      one_step();
    auto told = cancel(w.current(), got.session);
    until([&] { return !told->nothing(); }, "the cancellation's answer");
    until_ended(run);
    ASSERT_EQ(terminal_events(run), 1) << place;
    const auto& state = state_of(run);
    (state.at == run::phase::cancelled ? cancelled : succeeded) += 1;
    ASSERT_NE(state.at, run::phase::failed);
    EXPECT_EQ(count(stream_of(got.session), "session.turn_ended"), 1u);
    EXPECT_EQ(count(stream_of(got.session), "session.terminated"), 1u);
  }
  EXPECT_GT(cancelled, 5);
  EXPECT_EQ(succeeded, 3) << "the race was never lost";
}

// Goal: a cancelled run begins no step; the one in flight may finish within the drain time.
TEST_F(stories_runs, cancellation_drains) {
  begin(recipe_with("", 5));
  let(1, {step("a"), step("b")});
  auto got = accept_run(1);
  const auto run = got.fact->run;
  until([&] { return !executions(run, "a").empty(); }, "the step's execution");
  ASSERT_EQ(count(stream_of(run), "run.step_completed"), 0u);
  auto told = cancel(w.current(), got.session);
  // The harness speaks only after it has read what the server says.
  w.run_jobs();
  ASSERT_TRUE(told->accepted());
  auto asked = w.clock.now();
  until_ended(run);
  EXPECT_EQ(state_of(run).at, run::phase::cancelled);
  EXPECT_EQ(state_of(run).steps.at("a").at, run::step_phase::done);
  EXPECT_FALSE(state_of(run).steps.contains("b"));
  EXPECT_LT(*state_of(run).finished_at - asked, seconds{5});
}

// Goal: a harness that ignores the cancellation is cut off when the drain time is over, not before,
// and its process ends.
TEST_F(stories_runs, cancellation_cuts_off) {
  begin(recipe_with("", 5));
  let(1, {}, ending::endless);
  spoil(1, 1, {rudeness::ignores_cancel, 0});
  auto got = accept_run(1);
  const auto run = got.fact->run;
  settle();
  auto asked = w.clock.now();
  cancel(w.current(), got.session);
  settle();
  EXPECT_EQ(count(stream_of(run), "run.cancel_requested"), 1u);
  w.advance(milliseconds{4900});
  settle();
  EXPECT_EQ(terminal_events(run), 0);
  until_ended(run);
  EXPECT_EQ(state_of(run).at, run::phase::cancelled);
  EXPECT_GE(*state_of(run).finished_at - asked, seconds{5});
  until([&] { return w.current().host.alive() == 0; }, "the end of its process");
  EXPECT_EQ(count(stream_of(got.session), "session.terminated"), 1u);
}

// Goal: the clock may jump forwards: a timer that it passed fires, once.
TEST_F(stories_runs, timer_fires_once_over_a_jump_forwards) {
  begin();
  let(1, {step("a", 1)});
  const auto run = accept_run(1).fact->run;
  until([&] { return retries(run) == 1; }, "the step's failure");
  settle();
  ASSERT_EQ(starts(run), 1u);
  w.clock.advance(std::chrono::hours{1}); // The wall's clock alone.
  settle();
  w.advance(seconds{1});
  settle();
  EXPECT_EQ(starts(run), 2u);
  until_ended(run);
  w.advance(std::chrono::hours{2});
  settle();
  EXPECT_EQ(starts(run), 2u);
  EXPECT_THAT(executions(run, "a"), ElementsAre(1, 2));
  EXPECT_EQ(state_of(run).at, run::phase::succeeded);
}

// Goal: the clock may jump backwards: a timer then fires when it is due by the clock, once, and
// time within the stream does not go back.
TEST_F(stories_runs, timer_fires_once_over_a_jump_backwards) {
  begin();
  let(1, {step("a", 1)});
  const auto run = accept_run(1).fact->run;
  until([&] { return retries(run) == 1; }, "the step's failure");
  settle();
  auto due = *state_of(run).steps.at("a").due;
  w.clock.advance(-seconds{30});
  settle();
  w.advance(seconds{20});
  settle();
  EXPECT_EQ(starts(run), 1u) << "before its time";
  until([&] { return starts(run) == 2; }, "the next execution");
  EXPECT_GE(w.clock.now(), due);
  until_ended(run);
  EXPECT_THAT(executions(run, "a"), ElementsAre(1, 2));
  auto records = w.disk.read_stream(stream_of(run), 1, SIZE_MAX);
  for (std::size_t i = 1; i < records->size(); ++i)
    EXPECT_GE((*records)[i]->event.time, (*records)[i - 1]->event.time);
}

// Goal: wherever a harness dies between two of its lines, the run goes on from there: nothing that
// is recorded is executed or counted again, and the attempt counts.
TEST_F(stories_runs, harness_dies_at_every_line) {
  begin(recipe_with(R"("max_attempts":2)"));
  const std::vector<op> ops{step("a"), usage("u", 70), message("m"), step("b"), usage("v", 5)};
  constexpr std::int64_t lines = 8; // Two of each step, one of the others, the result.
  for (std::int64_t place = 0; place < lines; ++place) {
    auto number = static_cast<std::uint64_t>(100 + 2 * place);
    let(number, ops);
    spoil(number, 1, {rudeness::dies, place});
    const auto run = accept_run(number).fact->run;
    until_ended(run);
    const auto& state = state_of(run);
    ASSERT_EQ(state.at, run::phase::succeeded) << place;
    EXPECT_EQ(state.attempt, 2) << place;
    EXPECT_EQ(state.failures, 1) << place;
    EXPECT_EQ(state.cost, micro_usd{75}) << place;
    EXPECT_EQ(state.steps_completed, 2) << place;
    EXPECT_EQ(count(stream_of(run), "run.message_emitted"), 1u) << place;
    // It dies before it does what it was allowed to do: no step is done twice.
    for (const auto* key : {"a", "b"})
      EXPECT_EQ(executions(run, key).size(), 1u) << key << ' ' << place;
  }
}

// Goal: a step whose harness died before it could report is executed once more, with the next
// number and under the same key.
TEST_F(stories_runs, step_in_flight_is_executed_again) {
  begin();
  let(1, {step("a"), step("b")});
  const auto run = accept_run(1).fact->run;
  until([&] { return !executions(run, "b").empty(); }, "the second step's execution");
  ASSERT_EQ(state_of(run).steps.at("b").at, run::step_phase::running);
  ASSERT_TRUE(w.current().host.kill_any());
  until_ended(run);
  EXPECT_EQ(state_of(run).at, run::phase::succeeded);
  EXPECT_THAT(executions(run, "a"), ElementsAre(1));
  EXPECT_THAT(executions(run, "b"), ElementsAre(1, 2));
}

// Goal: a clock that goes back while a run waits for its slot costs it that slot, not its end.
TEST_F(stories_runs, clock_goes_back_between_the_timer_and_the_slot) {
  w.settings.max_running = 1;
  begin();
  let(1, {step("a")}, ending::retryable);
  let(2, {}, ending::endless);
  const auto run = accept_run(1).fact->run;
  until([&] { return count(stream_of(run), "run.attempt_failed") == 1; }, "the failure");
  const auto other = accept_run(2);
  until([&] { return count(stream_of(other.fact->run), "run.started") == 1; }, "the other's start");
  const auto& queued = w.current().actors->counters.queued_runs;
  until([&] { return queued.load() == 1; }, "the run's place in the queue");
  w.clock.advance(std::chrono::seconds{-20});
  cancel(w.current(), other.session);
  until_ended(run);
  EXPECT_EQ(state_of(run).at, run::phase::succeeded);
  EXPECT_EQ(state_of(run).attempt, 2);
}

} // namespace

} // namespace runledger::sim
