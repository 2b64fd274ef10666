// Goal: what replay says about another policy is what a server under that policy would have done,
// for random histories: the same requests are decided under both.

#include "events/log/memory_log.hpp"
#include "projections/replay/spend.hpp"
#include "projections/replay/what_if.hpp"
#include "tests/support/driven_run.hpp"
#include "tests/support/random_history.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace runledger::test {

namespace {

using replay::other_course;
using replay::other_policy;

constexpr std::size_t never = SIZE_MAX;

/// Where the two part, as the record alone tells.
struct told {
  std::size_t at = never; ///< Index of the recorded fact.
  replay::parting how;
  micro_usd cost{0};
};

told tell(const driven_run& recorded, const other_policy& policy) {
  told out;
  other_course course{policy};
  for (std::size_t i = 0; i < recorded.history.size(); ++i) {
    const auto& [fact, when] = recorded.history[i];
    auto parting = course.take(fact, when);
    out.cost = course.recorded().cost;
    if (!parting)
      continue;
    out.at = i;
    out.how = *std::move(parting);
    break;
  }
  return out;
}

/// One run, and the same under another policy for as long as both go the same way.
struct twins {
  driven_run recorded, other;
  std::size_t parted_at = never; ///< Index of the first fact of the command that parted them.

  void ask(const run::command_body& body, const other_policy& policy, std::uint64_t random) {
    const auto before = recorded.history.size();
    recorded.ask(body, random);
    if (parted_at != never)
      return;
    other.now = recorded.now;
    auto under_policy = body;
    if (auto* start = std::get_if<run::start>(&under_policy)) {
      if (policy.max_cost)
        start->limits.max_cost_micro_usd = policy.max_cost;
      if (policy.max_attempts)
        start->retry.max_attempts = *policy.max_attempts;
    }
    other.ask(under_policy, random);
    const auto kind = [](const auto& one) { return one.first.index(); };
    if (!std::ranges::equal(recorded.history, other.history, {}, kind, kind))
      parted_at = before;
  }
};

twins random_twins(dice& d, const other_policy& policy, int steps) {
  twins out;
  for (int i = 0; i < steps && !::testing::Test::HasFatalFailure(); ++i) {
    out.recorded.now += std::chrono::milliseconds{d.percent(20) ? d.between(0, 3000) : 1};
    const auto asked = any_command(d, out.recorded.state);
    out.ask(asked, policy, d.next());
  }
  return out;
}

other_policy some_policy(dice& d) {
  other_policy out;
  if (d.percent(70))
    out.max_cost = micro_usd{d.between(0, 120)};
  if (!out.max_cost || d.percent(50))
    out.max_attempts = d.between(1, 4);
  return out;
}

TEST(what_if_property, tells_what_a_server_would_have_done) {
  std::size_t stopped = 0, unknown = 0, alike = 0;
  for_each_seed(1, 20'000, [&](std::uint64_t seed) {
    dice d{seed};
    const auto policy = some_policy(d);
    const auto both = random_twins(d, policy, 60);
    const auto told = tell(both.recorded, policy);
    const auto& other = both.other.state;
    if (told.at == never) {
      ASSERT_EQ(both.parted_at, never);
      ++alike;
    } else if (told.how.end) {
      ASSERT_EQ(told.at, both.parted_at);
      ASSERT_EQ(other.at, run::phase::failed);
      ASSERT_EQ(*told.how.end, other.error);
      ASSERT_EQ(told.cost, other.cost);
      ++stopped;
    } else {
      // Whether a last failure could be tried again is not recorded.
      const bool more_tries =
          policy.max_attempts && *policy.max_attempts > both.recorded.state.retry.max_attempts;
      ASSERT_TRUE(told.at == both.parted_at || (more_tries && told.at < both.parted_at));
      ASSERT_FALSE(told.how.why.empty());
      ASSERT_EQ(told.how.why.find("version"), std::string::npos) << told.how.why;
      ++unknown;
    }
  });
  if (std::getenv("TEST_SEED") == nullptr) {
    EXPECT_GT(stopped, 500u);
    EXPECT_GT(unknown, 500u);
    EXPECT_GT(alike, 500u);
  }
}

// Goal: the policy that was in force changes nothing.
TEST(what_if_property, the_recorded_policy_changes_nothing) {
  for_each_seed(1, 2000, [](std::uint64_t seed) {
    dice d{seed};
    const auto run = random_twins(d, {}, 60).recorded;
    other_policy same{run.state.limits.max_cost_micro_usd, run.state.retry.max_attempts, {}};
    const auto told = tell(run, same);
    ASSERT_EQ(told.at, never) << told.how.why;
    ASSERT_EQ(told.cost, run.state.cost);
  });
}

// Goal: a lower limit never stops a run later, and never lets it cost more.
TEST(what_if_property, lower_limits_stop_earlier) {
  for_each_seed(1, 2000, [](std::uint64_t seed) {
    dice d{seed};
    const auto run = random_twins(d, {}, 60).recorded;
    const auto own = count(run.state.limits.max_cost_micro_usd.value_or(micro_usd{150}));
    auto before = tell(run, {micro_usd{0}, {}, {}});
    for (std::int64_t limit = 1; limit <= own; ++limit) { // Beyond its own nothing is recorded.
      auto next = tell(run, {micro_usd{limit}, {}, {}});
      ASSERT_LE(before.at, next.at) << limit;
      ASSERT_LE(before.cost, next.cost) << limit;
      before = std::move(next);
    }
    before = tell(run, {{}, 1, {}});
    for (std::int64_t tries = 2; tries <= run.state.retry.max_attempts; ++tries) {
      auto next = tell(run, {{}, tries, {}});
      ASSERT_LE(before.at, next.at) << tries;
      before = std::move(next);
    }
  });
}

/// A budget, spent in the order of the ledger: the rule written down a second time.
struct spent_budget {
  std::int64_t budget = 0, spent = 0;
  std::map<std::string, std::uint64_t> stopped; ///< Run to seq.
  std::set<std::string> cancelling;

  void take(const record& r) {
    const auto& id = r.event.stream.value;
    if (kind_of(r.event.stream) != stream_kind::run || stopped.contains(id))
      return;
    const auto fact = *decode<run::event>(r.event);
    if (std::holds_alternative<run::cancel_requested>(fact))
      cancelling.insert(id);
    if (std::holds_alternative<run::started>(fact) && spent > budget)
      stopped[id] = r.event.seq;
    const auto* usage = std::get_if<run::usage_reported>(&fact);
    if (usage == nullptr)
      return;
    spent += count(usage->cost_micro_usd);
    if (spent > budget && !cancelling.contains(id))
      stopped[id] = r.event.seq;
  }
};

class whole_ledger {
public:
  explicit whole_ledger(std::uint64_t seed) {
    random_history life{log, seed};
    for (int i = 0; i < 400; ++i)
      life.step();
  }
  replay::what_if_report ask(const other_policy& policy) const {
    auto report = replay::what_if(log, {}, policy);
    EXPECT_TRUE(report);
    return *std::move(report);
  }
  void each(const std::function<void(const record&)>& take) const {
    for (const auto& r : *log.read_partition(0, 0, 100'000))
      take(*r);
  }
  std::int64_t spent() const {
    const auto sums = replay::spend_as_of(log, workspace_id{"default"},
                                          {replay::point::kind::offset, INT64_MAX, {}});
    return count((*sums)->total.cost);
  }
  memory_log log;
};

void expect_sums(const replay::what_if_report& report, const whole_ledger& ledger) {
  ASSERT_EQ(count(report.recorded), ledger.spent());
  ASSERT_EQ(report.changed.size(), report.stopped + report.unknown);
  std::int64_t saved = 0;
  for (const auto& one : report.changed)
    saved += count(one.recorded_cost) - count(one.cost);
  ASSERT_EQ(count(report.recorded) - saved, count(report.otherwise));
  ASSERT_LE(report.saved, micro_usd{saved});
  if (report.exact()) {
    ASSERT_EQ(count(report.saved), saved);
  }
}

// Goal: a budget is spent in the order of the ledger, to the micro-dollar.
TEST(what_if_property, budgets_are_spent_in_the_order_of_the_ledger) {
  for_each_seed(1, 60, [](std::uint64_t seed) {
    const whole_ledger ledger{seed};
    std::map<std::string, std::int64_t> stops_before;
    for (const auto share : {0, 10, 50, 90, 100}) {
      spent_budget rule;
      rule.budget = ledger.spent() * share / 100;
      ledger.each([&](const record& r) { rule.take(r); });
      const auto report = ledger.ask({{}, {}, micro_usd{rule.budget}});
      ASSERT_EQ(report.unknown, 0u);
      ASSERT_EQ(count(report.otherwise), rule.spent);
      ASSERT_NO_FATAL_FAILURE(expect_sums(report, ledger));
      std::map<std::string, std::uint64_t> stopped;
      std::map<std::string, std::int64_t> stops;
      for (const auto& one : report.changed) {
        stopped[one.run.value] = one.seq;
        stops[one.run.value] = one.offset;
        if (share > 0) {
          ASSERT_TRUE(stops_before.contains(one.run.value)) << "a larger budget stops more";
          ASSERT_LE(stops_before[one.run.value], one.offset);
        }
      }
      ASSERT_EQ(stopped, rule.stopped);
      ASSERT_EQ(stopped.empty(), share == 100);
      stops_before = std::move(stops);
    }
  });
}

// Goal: for whole ledgers the sums are those of the runs, and the recorded policy changes nothing.
TEST(what_if_property, sums_are_those_of_the_runs) {
  for_each_seed(1, 60, [](std::uint64_t seed) {
    const whole_ledger ledger{seed};
    for (const auto& policy :
         {other_policy{micro_usd{0}, {}, {}}, other_policy{micro_usd{9000}, 2, {}},
          other_policy{micro_usd{INT64_MAX}, {}, {}}, other_policy{{}, 5, {}},
          other_policy{{}, 9, {}}}) {
      const auto report = ledger.ask(policy);
      ASSERT_NO_FATAL_FAILURE(expect_sums(report, ledger));
      const bool as_recorded = policy.max_cost == micro_usd{INT64_MAX} || policy.max_attempts == 5;
      if (as_recorded) {
        ASSERT_TRUE(report.changed.empty());
        ASSERT_EQ(report.otherwise, report.recorded);
      }
    }
  });
}

} // namespace

} // namespace runledger::test
