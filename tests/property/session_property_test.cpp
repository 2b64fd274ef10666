// Goal: the pure core of a session keeps its promises for every order of requests.

#include "tests/support/builders.hpp"

#include <gtest/gtest.h>

namespace runledger::session {

namespace {

using test::dice;

const workspace_id home{"default"};

struct driven {
  session::state state;
  std::uint64_t seq = 0;
  std::vector<session::event> history;

  bool ask(const session::command_body& body, bool* replayed = nullptr) {
    auto decided = session::decide(state, {from_ms(1000), home, body});
    if (!decided)
      return false;
    if (replayed != nullptr)
      *replayed = decided->replayed;
    for (const auto& fact : decided->facts)
      fold(fact);
    return true;
  }
  void fold(const session::event& fact) {
    ASSERT_TRUE(session::fits(state, fact)) << encode(fact).type;
    ASSERT_NE(state.at, session::phase::terminated);
    state = session::evolve(std::move(state), fact, from_ms(1000), ++seq, home);
    history.push_back(fact);
  }
};

session::accept_turn turn(int n) {
  session::accept_turn ask;
  ask.id = command_id{"cmd_" + std::to_string(n)};
  ask.run = run_id{"run_" + std::to_string(n)};
  ask.agent = agent_id{"ag_1"};
  ask.agent_version = 1;
  ask.first = n == 0;
  ask.key = "k" + std::to_string(n);
  ask.fingerprint = sha256(ask.key);
  return ask;
}

session::command_body any_command(dice& d) {
  static const std::vector<std::string> ends{"succeeded", "failed", "cancelled"};
  switch (d.below(8)) {
    case 0:
      return session::cancel{"enough", d.coin() ? "c" : "", {}};
    case 1:
    case 2:
    case 3:
      return session::end_turn{run_id{"run_" + std::to_string(d.below(4))}, d.pick(ends)};
    default: {
      auto ask = turn(static_cast<int>(d.below(4)));
      if (d.percent(10))
        ask.fingerprint = sha256("another body");
      return ask;
    }
  }
}

void check(const session::state& s) {
  ASSERT_LE(s.first_open, s.turns.size());
  for (std::size_t i = 0; i < s.first_open; ++i)
    ASSERT_TRUE(s.turns[i].ended());
  for (std::size_t i = 0; i < s.turns.size(); ++i)
    ASSERT_EQ(s.turns[i].number, static_cast<std::int64_t>(i) + 1);
  if (s.at == session::phase::terminated) {
    ASSERT_EQ(session::current(s), nullptr);
    ASSERT_FALSE(session::open(s));
  }
  if (s.at == session::phase::cancelling) {
    ASSERT_NE(session::current(s), nullptr); // Else nothing would ever terminate it.
  }
}

TEST(SessionProperties, FactsFitAndTurnsKeepTheirOrder) {
  test::for_each_seed(1, 3000, [](std::uint64_t seed) {
    dice d{seed};
    driven s;
    for (int i = 0; i < 25; ++i) {
      s.ask(any_command(d));
      ASSERT_NO_FATAL_FAILURE(check(s.state));
    }
  });
}

TEST(SessionProperties, RetryingAnAcceptedRequestRecordsNothing) {
  test::for_each_seed(1, 3000, [](std::uint64_t seed) {
    dice d{seed};
    driven s;
    for (int i = 0; i < 25; ++i) {
      auto asked = any_command(d);
      if (!s.ask(asked))
        continue;
      auto before = s.history.size();
      bool replayed = false;
      ASSERT_TRUE(s.ask(asked, &replayed));
      ASSERT_EQ(s.history.size(), before);
      if (std::holds_alternative<session::accept_turn>(asked)) {
        ASSERT_TRUE(replayed);
      }
    }
  });
}

// After every cut there is something to do, until every turn has ended.
TEST(SessionProperties, EveryPrefixIsAHistoryFromWhichWorkContinues) {
  test::for_each_seed(1, 1000, [](std::uint64_t seed) {
    dice d{seed};
    driven whole;
    for (int i = 0; i < 25; ++i)
      whole.ask(any_command(d));
    for (std::size_t cut = 0; cut <= whole.history.size(); ++cut) {
      driven s;
      for (std::size_t i = 0; i < cut; ++i)
        s.fold(whole.history[i]);
      for (int i = 0; i < 10 && session::open(s.state); ++i) {
        auto effects = session::recover(s.state);
        ASSERT_FALSE(effects.empty());
        if (std::holds_alternative<session::finish_cancel>(effects.front()))
          s.ask(session::cancel{});
        else
          s.ask(session::end_turn{session::current(s.state)->run, "succeeded"});
      }
      ASSERT_FALSE(session::open(s.state)) << "cut after " << cut;
    }
  });
}

TEST(SessionProperties, AllShortHistoriesFit) {
  std::size_t visited = 0;
  auto walk = [&](auto& self, const driven& from, int depth) -> void {
    ++visited;
    check(from.state);
    if (depth == 0 || ::testing::Test::HasFatalFailure())
      return;
    const std::vector<session::command_body> all{turn(0),
                                                 turn(1),
                                                 turn(2),
                                                 session::end_turn{run_id{"run_0"}, "failed"},
                                                 session::end_turn{run_id{"run_1"}, "succeeded"},
                                                 session::end_turn{run_id{"run_2"}, "cancelled"},
                                                 session::cancel{"r", {}, {}}};
    for (const auto& body : all) {
      auto next = from;
      if (next.ask(body) && next.history.size() > from.history.size())
        self(self, next, depth - 1);
    }
  };
  walk(walk, driven{}, 7);
  EXPECT_GT(visited, 50u);
}

} // namespace

} // namespace runledger::session
