#pragma once

#include "events/run.hpp"
#include "tests/support/builders.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

/// A run that random requests drive, without an actor and without a ledger.
namespace runledger::test {

/// A run as its actor would drive it: time goes on, facts are checked and folded.
struct driven_run {
  run::state state;
  timestamp now = from_ms(1'700'000'000'000);
  std::vector<std::pair<run::event, timestamp>> history;

  /// Decides and folds. False: refused.
  bool ask(const run::command_body& body, std::uint64_t random = 7) {
    auto decided = run::decide(state, {now, random, body});
    if (!decided)
      return false;
    for (const auto& fact : decided->facts)
      fold(fact);
    return true;
  }
  void fold(const run::event& fact) {
    ASSERT_TRUE(run::fits(state, fact)) << encode(fact).type;
    auto was_terminal = run::terminal(state.at);
    state = run::evolve(std::move(state), fact, now);
    ASSERT_FALSE(was_terminal);
    history.emplace_back(fact, now);
  }
};

/// How a run begins, with limits and retries of all kinds.
inline run::start start_of(dice& d) {
  run::start ask;
  ask.session = session_id{"sess_1"};
  ask.turn = 1;
  ask.agent = agent_id{"ag_1"};
  ask.agent_version = 1;
  if (d.percent(30))
    ask.limits.max_cost_micro_usd = micro_usd{d.between(1, 100)};
  if (d.percent(30))
    ask.limits.max_steps = d.between(1, 3);
  if (d.percent(30))
    ask.limits.timeout_ms = d.between(1, 10'000);
  ask.retry.max_attempts = d.between(1, 3);
  ask.retry.jitter_milli = 200;
  ask.drain_ms = 1000;
  return ask;
}

inline run::frame_body any_frame_body(dice& d) {
  std::string key(1, static_cast<char>('a' + d.below(3)));
  switch (d.below(8)) {
    case 0:
    case 1: {
      run::start_step ask{key, {}, {}, {}, {}};
      if (d.percent(30))
        ask.timeout_ms = d.between(1, 2000);
      return ask;
    }
    case 2:
      return run::finish_step{key, {"1", {}}};
    case 3:
      return run::fail_step{key, {"x", "no"}, d.percent(80)};
    case 4:
      return run::note{run::usage_reported{1, 2, micro_usd{d.between(0, 30)}, {}, {}, {}, {}}};
    case 5:
      return run::note{run::message_emitted{"assistant", {"\"hi\"", {}}, {}}};
    case 6:
      return run::succeed{{"2", {}}};
    default:
      return run::fail{{"x", "no"}, d.coin()};
  }
}

/// A request of any kind, sometimes of an earlier attempt.
inline run::command_body any_command(dice& d, const run::state& s) {
  switch (d.below(12)) {
    case 0:
    case 1:
      return start_of(d);
    case 2:
      return run::end_attempt{
          s.attempt - (d.percent(20) ? 1 : 0), {"gone", "gone"}, d.coin(), d.percent(10)};
    case 3:
      return run::fire_timers{};
    case 4:
      if (d.percent(20))
        return run::cancel{session_id{"sess_1"}, 1, "enough"};
      return run::fire_timers{};
    case 5:
      if (d.percent(10))
        return run::refuse{session_id{"sess_1"}, 1, {"x", "no"}};
      [[fallthrough]];
    default: {
      std::string id;
      if (d.percent(60))
        id = "f" + std::to_string(d.below(12));
      return run::frame{s.attempt - (d.percent(5) ? 1 : 0), id, any_frame_body(d)};
    }
  }
}

} // namespace runledger::test
