// Goal: the pure core of a run keeps its promises for every order of requests, without any actor.

#include "events/fork.hpp"
#include "tests/support/driven_run.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace runledger {

namespace {

using std::chrono::milliseconds;
using test::any_command;
using test::dice;
using test::start_of;
using driven = test::driven_run;

/// What repeated adds nothing by promise: all but frames that cannot be told from new ones.
bool repeatable(const run::command_body& body) {
  const auto* frame = std::get_if<run::frame>(&body);
  return frame == nullptr || !frame->id.empty();
}

void random_walk(dice& d, driven& r, int steps) {
  for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) {
    r.now += milliseconds{d.percent(20) ? d.between(0, 3000) : d.between(0, 5)};
    r.ask(any_command(d, r.state), d.next());
  }
}

TEST(RunProperties, FactsFitAndAnEndIsForGood) {
  test::for_each_seed(1, 1500, [](std::uint64_t seed) {
    dice d{seed};
    driven r;
    random_walk(d, r, 40);
    auto ends = std::ranges::count_if(r.history, [](const auto& one) {
      return std::holds_alternative<run::succeeded>(one.first)
             || std::holds_alternative<run::failed>(one.first)
             || std::holds_alternative<run::cancelled>(one.first);
    });
    ASSERT_EQ(ends, run::terminal(r.state.at) ? 1 : 0);
  });
}

TEST(RunProperties, RetryingAnAcceptedRequestRecordsNothing) {
  test::for_each_seed(1, 1500, [](std::uint64_t seed) {
    dice d{seed};
    driven r;
    for (int i = 0; i < 40; ++i) {
      r.now += milliseconds{d.between(0, 500)};
      auto asked = any_command(d, r.state);
      auto before = r.history.size();
      if (!r.ask(asked) || r.history.size() == before || !repeatable(asked))
        continue;
      auto again = run::decide(r.state, {r.now, 9, asked});
      ASSERT_TRUE(!again || again->facts.empty())
          << encode(r.history.back().first).type << ", then " << encode(again->facts.front()).type;
    }
  });
}

// A frame that comes again under the same id is acknowledged again, whatever it was.
TEST(RunProperties, AFrameThatTookEffectIsAcknowledgedAgain) {
  test::for_each_seed(1, 1500, [](std::uint64_t seed) {
    dice d{seed};
    driven r;
    for (int i = 0; i < 40; ++i) {
      r.now += milliseconds{d.between(0, 50)};
      auto asked = any_command(d, r.state);
      const auto* frame = std::get_if<run::frame>(&asked);
      auto before = r.history.size();
      if (!r.ask(asked) || frame == nullptr || frame->id.empty() || r.history.size() == before
          || r.state.at != run::phase::running)
        continue;
      auto again = run::decide(r.state, {r.now, 9, asked});
      ASSERT_TRUE(again) << again.error().detail;
      ASSERT_TRUE(std::ranges::any_of(again->effects, [&](const run::effect& e) {
        const auto* ack = std::get_if<run::acknowledge>(&e);
        return ack != nullptr && ack->id == frame->id;
      }));
    }
  });
}

/// A server that starts on this state, with a harness that means well.
void go_on_to_the_end(driven& r) {
  for (int i = 0; i < 200 && !run::terminal(r.state.at); ++i) {
    if (r.state.at == run::phase::absent) {
      dice d{1};
      r.ask(start_of(d));
    } else if (r.state.at == run::phase::backing_off) {
      r.now = std::max(r.now, *r.state.backoff_due);
      r.ask(run::start{});
    } else if (i == 0) {
      r.ask(run::end_attempt{r.state.attempt, {"server_restarted", "."}, false, false});
    } else {
      for (const auto& [key, step] : std::map{r.state.steps})
        if (step.at != run::step_phase::done && step.at != run::step_phase::gave_up) {
          r.ask(run::frame{r.state.attempt, {}, run::start_step{key, {}, {}, {}, {}}});
          r.ask(run::frame{r.state.attempt, {}, run::finish_step{key, {"1", {}}}});
        }
      r.ask(run::frame{r.state.attempt, {}, run::succeed{{"3", {}}}});
      if (auto due = run::due_ms(r.state); due && !run::terminal(r.state.at)) {
        r.now = std::max(r.now, from_ms(*due));
        r.ask(run::fire_timers{});
      }
    }
  }
}

TEST(RunProperties, EveryPrefixIsAHistoryFromWhichWorkContinues) {
  test::for_each_seed(1, 300, [](std::uint64_t seed) {
    dice d{seed};
    driven whole;
    random_walk(d, whole, 40);
    for (std::size_t cut = 0; cut <= whole.history.size(); ++cut) {
      driven r;
      for (std::size_t i = 0; i < cut; ++i) {
        r.now = whole.history[i].second;
        r.fold(whole.history[i].first);
      }
      auto effects = run::recover(r.state);
      if (run::terminal(r.state.at)) {
        ASSERT_TRUE(std::holds_alternative<run::announce_end>(effects.at(0)));
      }
      if (r.state.at == run::phase::backing_off) {
        ASSERT_TRUE(std::holds_alternative<run::requeue>(effects.at(0)));
      }
      go_on_to_the_end(r);
      ASSERT_TRUE(run::terminal(r.state.at)) << "cut after " << cut;
    }
  });
}

/// What a fork of this run at the step takes over; nothing if the run never started it.
std::optional<std::vector<run::inherited_step>>
inherited_from(const driven& parent, const run_id& id, const std::string& at) {
  run::inheritance taken{id, at};
  for (std::uint64_t seq = 1; seq <= parent.history.size(); ++seq)
    if (!taken.add(seq, parent.history[seq - 1].first))
      break;
  if (!taken.point())
    return std::nullopt;
  return taken.steps();
}

void expect_recorded_answers(const driven& fork, const std::vector<run::inherited_step>& steps) {
  if (fork.state.at != run::phase::running || fork.state.cancel_due)
    return;
  for (const auto& one : steps) {
    const run::start_step ask{one.key, {}, {}, {}, {}};
    auto asked = run::decide(fork.state, {fork.now, 1, run::frame{fork.state.attempt, {}, ask}});
    ASSERT_TRUE(asked && asked->facts.empty() && asked->effects.size() == 1);
    const run::outcome_source source{one.run, one.seq};
    if (one.gave_up) {
      ASSERT_EQ(std::get<run::give_up>(asked->effects[0]).source, source);
    } else {
      ASSERT_EQ(std::get<run::give_cached>(asked->effects[0]).source, source);
    }
  }
}

// A fork never executes what had an outcome before its place: it gives what stands in the event
// that it names, in every attempt; and a fork of it at an inherited step needs no run in between.
TEST(RunProperties, AForkExecutesNothingThatWasDone) {
  std::size_t forks = 0;
  test::for_each_seed(1, 1500, [&](std::uint64_t seed) {
    dice d{seed};
    driven parent;
    random_walk(d, parent, 40);
    const std::string at(1, static_cast<char>('a' + d.below(3)));
    auto inherited = inherited_from(parent, run_id{"run_parent"}, at);
    const auto is_start = [&](const auto& one) {
      const auto* started = std::get_if<run::step_started>(&one.first);
      return started != nullptr && started->key == at;
    };
    const auto place = std::ranges::find_if(parent.history, is_start);
    ASSERT_EQ(inherited.has_value(), place != parent.history.end());
    if (!inherited)
      return;
    ++forks;
    for (const auto& one : *inherited) {
      ASSERT_LT(one.seq, static_cast<std::uint64_t>(place - parent.history.begin()) + 1);
      const auto& fact = parent.history[one.seq - 1].first;
      const auto* done = std::get_if<run::step_completed>(&fact);
      const auto* failed = std::get_if<run::step_failed>(&fact);
      ASSERT_EQ(one.gave_up, failed != nullptr);
      ASSERT_EQ(one.key, done != nullptr ? done->key : failed->key);
    }
    driven fork;
    auto begin = start_of(d);
    begin.inherited = *inherited;
    ASSERT_TRUE(fork.ask(begin));
    random_walk(d, fork, 40);
    for (const auto& [fact, when] : fork.history)
      if (const auto* started = std::get_if<run::step_started>(&fact)) {
        ASSERT_EQ(std::ranges::count(*inherited, started->key, &run::inherited_step::key), 0);
      }
    ASSERT_NO_FATAL_FAILURE(expect_recorded_answers(fork, *inherited));
    for (std::size_t i = 0; i < inherited->size(); ++i) {
      auto again = inherited_from(fork, run_id{"run_fork"}, (*inherited)[i].key);
      ASSERT_TRUE(again);
      ASSERT_EQ(*again, std::vector(inherited->begin(),
                                    inherited->begin() + static_cast<std::ptrdiff_t>(i)));
    }
  });
  EXPECT_TRUE(forks > 100 || std::getenv("TEST_SEED") != nullptr) << forks;
}

// Whatever waits for a time has a timer, and firing it then changes something.
TEST(RunProperties, ADueTimerDoesSomething) {
  test::for_each_seed(1, 1500, [](std::uint64_t seed) {
    dice d{seed};
    driven r;
    for (int i = 0; i < 30; ++i) {
      random_walk(d, r, 1);
      auto due = run::due_ms(r.state);
      if (!due || d.percent(70))
        continue;
      r.now = std::max(r.now, from_ms(*due));
      auto decided = run::decide(r.state, {r.now, 1, run::fire_timers{}});
      ASSERT_TRUE(decided);
      ASSERT_TRUE(!decided->facts.empty() || !decided->effects.empty());
      r.ask(run::fire_timers{});
    }
  });
}

/// All sequences of a few requests, as far as they change anything.
void walk_everything(const driven& from, int depth, std::size_t& visited) {
  ++visited;
  if (depth == 0 || ::testing::Test::HasFatalFailure())
    return;
  dice d{5};
  auto start = start_of(d);
  start.limits = {micro_usd{5}, 2, 50};
  start.retry.max_attempts = 2;
  auto frame = [&](run::frame_body body, const char* id = "") {
    return run::command_body{run::frame{from.state.attempt, id, std::move(body)}};
  };
  const std::vector<run::command_body> all{
      start,
      frame(run::start_step{"a", {}, {}, 10, {}}, "i"),
      frame(run::start_step{"b", {}, {}, {}, {}}),
      frame(run::finish_step{"a", {"1", {}}}, "j"),
      frame(run::fail_step{"a", {"x", "."}, true}),
      frame(run::note{run::usage_reported{0, 0, micro_usd{3}, {}, {}, {}, {}}}),
      frame(run::succeed{{"1", {}}}),
      frame(run::fail{{"x", "."}, true}),
      run::end_attempt{from.state.attempt, {"x", "."}, true, false},
      run::end_attempt{from.state.attempt, {"x", "."}, false, false},
      run::cancel{session_id{"s"}, 1, "r"},
      run::refuse{session_id{"s"}, 1, {"x", "."}},
      run::fire_timers{}};
  for (const auto& body : all)
    for (int wait : {0, 1000}) {
      auto next = from;
      next.now += milliseconds{wait};
      if (next.ask(body) && next.history.size() > from.history.size())
        walk_everything(next, depth - 1, visited);
    }
}

TEST(RunProperties, AllShortHistoriesFit) {
  std::size_t visited = 0;
  walk_everything(driven{}, 5, visited);
  EXPECT_GT(visited, 1000u);
}

} // namespace

} // namespace runledger
