#include "tests/sim/story.hpp"

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;

class stories_recovery : public story {
protected:
  /// The server dies and the next one starts; what was under way is lost, or landed and untold.
  void change_servers(append_end fate) {
    for (auto& group : w.crash(w.current()))
      if (fate == append_end::landed)
        w.disk.append(std::move(group), [](std::vector<append_result>) {});
    w.judge.catch_up();
    views.reopen();
    w.start();
  }
};

// Goal: a step in flight when the server dies is executed again with the next number under the same
// key; the attempt that the server spoiled does not count.
TEST_F(stories_recovery, step_in_flight_is_executed_again) {
  begin(recipe_with(R"("max_attempts":1)"));
  let(1, {step("a"), step("b")});
  const auto run = accept_run(1).fact->run;
  until([&] { return !executions(run, "b").empty(); }, "the second step's execution");
  change_servers(append_end::lost);
  ASSERT_EQ(state_of(run).steps.at("b").at, run::step_phase::running);
  until_ended(run);
  const auto& state = state_of(run);
  EXPECT_EQ(state.at, run::phase::succeeded);
  EXPECT_EQ(state.attempt, 2);
  EXPECT_EQ(state.failures, 0);
  EXPECT_THAT(executions(run, "a"), ElementsAre(1));
  EXPECT_THAT(executions(run, "b"), ElementsAre(1, 2));
}

class stories_of_deaths : public stories_recovery,
                          public ::testing::WithParamInterface<append_end> {
protected:
  /// Until the append that follows `events` further events is under way, or `over`.
  bool goes_on_for(std::size_t events, const std::function<bool()>& over) {
    w.current().port.hold(true);
    auto before = w.judge.events();
    bool ended = false;
    until(
        [&] {
          ended = over();
          return ended || (w.judge.events() >= before + events && w.current().port.held() > 0);
        },
        "the next append");
    return !ended;
  }
};

// Goal: the server may die at any append; the next one finds what is unfinished in the ledger alone
// (the servers of a simulation have no views), ends it, and counts nothing twice.
TEST_P(stories_of_deaths, run_ends_all_the_same) {
  begin(recipe_with(R"("max_attempts":2)"));
  let(1, {step("a", 1), usage("u", 70), step("b")});
  std::size_t place = 0;
  for (bool more = true; more && !HasFailure(); ++place) {
    const auto key = "key-" + std::to_string(place);
    const auto accepted_before = w.judge.accepted_runs().size();
    auto unsure = start_run(w.current(), 1, key);
    more = goes_on_for(place, [&] {
      return unsure->accepted() && count(stream_of((**unsure).session), "session.turn_ended") == 1;
    });
    change_servers(GetParam());
    const bool known = w.judge.accepted_runs().size() > accepted_before;
    auto again = start_run(w.current(), 1, key);
    until([&] { return !again->nothing(); }, "the second answer");
    ASSERT_TRUE(again->accepted());
    EXPECT_EQ((**again).replayed, known) << place;
    const auto run = (**again).fact->run;
    until_ended(run);
    const auto& state = state_of(run);
    EXPECT_EQ(state.at, run::phase::succeeded) << place;
    EXPECT_EQ(state.cost, micro_usd{70}) << place;
    EXPECT_EQ(state.steps_completed, 2) << place;
    EXPECT_EQ(terminal_events(run), 1) << place;
    EXPECT_EQ(count(stream_of((**again).session), "session.turn_ended"), 1u) << place;
    EXPECT_EQ(w.judge.accepted_runs().size(), accepted_before + 1);
  }
  EXPECT_GT(place, 10u);
}

// Goal: a cancellation that the server's death cuts into is completed by the next one.
TEST_P(stories_of_deaths, cancellation_is_completed) {
  begin();
  let(1, {step("a")}, ending::endless);
  std::size_t place = 0;
  for (bool more = true; more && !HasFailure(); ++place) {
    w.current().port.hold(false);
    auto got = accept_run(1);
    const auto run = got.fact->run;
    until([&] { return !executions(run, "a").empty(); }, "the step's execution");
    const auto session = stream_of(got.session);
    w.current().port.hold(true);
    auto told = cancel(w.current(), got.session);
    more = goes_on_for(place, [&] { return count(session, "session.terminated") == 1; });
    const bool asked = count(session, "session.cancel_requested") == 1;
    change_servers(GetParam());
    if (!asked && count(session, "session.cancel_requested") == 0) {
      EXPECT_FALSE(told->accepted()) << place;
      cancel(w.current(), got.session);
    }
    until([&] { return count(session, "session.terminated") == 1; }, "the session's end");
    EXPECT_EQ(terminal_events(run), 1) << place;
    EXPECT_EQ(state_of(run).at, run::phase::cancelled) << place;
    settle();
  }
  EXPECT_GT(place, 3u);
}

INSTANTIATE_TEST_SUITE_P(Append, stories_of_deaths,
                         ::testing::Values(append_end::lost, append_end::landed),
                         [](const auto& how) { return std::string{to_string(how.param)}; });

// Goal: a back-off lasts until it is due, over restarts and while the session's actor is
// passivated, and is followed by one attempt.
TEST_F(stories_recovery, back_off_survives_passivation_and_restarts) {
  w.settings.idle_actor_ms = 100;
  begin(recipe_with(R"("max_attempts":2)"));
  let(1, {step("a")});
  spoil(1, 1, {rudeness::dies, 1});
  const auto run = accept_run(1).fact->run;
  until([&] { return state_of(run).at == run::phase::backing_off; }, "the attempt's failure");
  const auto due = *state_of(run).backoff_due;
  auto next_attempts = [&] { return count(stream_of(run), "run.attempt_started"); };
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 3; ++j) {
      w.advance(milliseconds{100});
      settle();
    }
    EXPECT_EQ(w.current().actors->counters.live_actors.load(), 1u) << "only the run's own";
    change_servers(append_end::lost);
    settle();
    ASSERT_LT(w.clock.now(), due);
    EXPECT_EQ(next_attempts(), 0u);
  }
  until_ended(run);
  EXPECT_EQ(next_attempts(), 1u);
  auto records = w.disk.read_stream(stream_of(run), 1, SIZE_MAX);
  for (const auto& r : *records)
    if (split_type(r->event.type)->name == run::attempt_started::name) {
      EXPECT_GE(r->event.time, due);
    }
  EXPECT_EQ(state_of(run).at, run::phase::succeeded);
  EXPECT_EQ(state_of(run).failures, 1);
}

// Goal: a server that lost the partition and does not know it writes nothing, promises nothing, and
// what its harness still does has a number and a key that keep it harmless.
TEST_F(stories_recovery, zombie_is_harmless) {
  begin();
  let(1, {step("a"), step("b")});
  auto& zombie = w.current();
  const auto got = accept_run(1);
  const auto run = got.fact->run;
  until([&] { return !executions(run, "a").empty(); }, "the first step's execution");
  ASSERT_EQ(count(stream_of(run), "run.step_completed"), 0u);

  auto& heir = w.start();
  auto refused = start_run(zombie, 1, "key"),
       refused_message = post_message(zombie, got.session, 1);
  w.run_jobs();
  auto refused_cancel = cancel(zombie, got.session);
  until_ended(run);
  EXPECT_EQ(state_of(run).at, run::phase::succeeded);
  EXPECT_EQ(state_of(run).attempt, 2);
  EXPECT_EQ(state_of(run).failures, 0);
  EXPECT_THAT(executions(run, "a"), ElementsAre(1, 2));
  EXPECT_THAT(executions(run, "b"), ElementsAre(1));
  EXPECT_EQ(terminal_events(run), 1);
  EXPECT_TRUE(refused->refused(errc::not_owner));
  EXPECT_TRUE(refused_message->refused(errc::not_owner));
  EXPECT_TRUE(refused_cancel->refused(errc::not_owner));
  EXPECT_THAT(w.lost, ElementsAre(0U));
  EXPECT_GT(zombie.actors->counters.rejected_appends.load(), 0u);

  auto taken = start_run(heir, 1, "key");
  settle();
  ASSERT_TRUE(taken->accepted());
  EXPECT_FALSE((**taken).replayed);
  EXPECT_EQ(w.judge.accepted_runs().size(), 2u);
  const auto epoch = w.disk.partition_state(0).epoch;
  auto records = w.disk.read_partition(0, 0, SIZE_MAX);
  for (auto at = records->rbegin(); at != records->rend(); ++at) {
    EXPECT_EQ((*at)->epoch, epoch);
    if (split_type((*at)->event.type)->name == "partition.claimed")
      break;
  }
}

} // namespace

} // namespace runledger::sim
