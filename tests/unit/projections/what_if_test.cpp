#include "projections/replay/what_if.hpp"

#include "events/log/memory_log.hpp"
#include "tests/support/history.hpp"
#include "tests/support/rows_log.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// Goal: each way in which another policy parts from what is recorded, told by itself.
namespace runledger::replay {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

other_policy cost(std::int64_t most) {
  return {micro_usd{most}, {}, {}};
}
other_policy tries(std::int64_t most) {
  return {{}, most, {}};
}
other_policy budget(std::int64_t most) {
  return {{}, {}, micro_usd{most}};
}

class what_if_test : public ::testing::Test {
protected:
  /// A run that has begun.
  struct begun {
    session_id session;
    run_id run;
  };
  begun begin(const run::started& started = {}) {
    begun out;
    out.session = facts.fresh_session();
    out.run = facts.fresh_run(out.session);
    facts.write_session(out.session, facts.turn(out.run));
    tell(out, started);
    return out;
  }
  static run::started limited(std::int64_t most) {
    run::started out;
    out.limits.max_cost_micro_usd = micro_usd{most};
    return out;
  }
  static run::started tried(std::int64_t most) {
    run::started out;
    out.retry.max_attempts = most;
    return out;
  }
  template <class Fact>
  void tell(const begun& to, const Fact& fact) {
    facts.clock.time += std::chrono::milliseconds{5};
    facts.write_run(to.session, to.run, fact);
  }
  void spend(const begun& by, std::int64_t amount) {
    tell(by, run::usage_reported{1, 1, micro_usd{amount}, {}, {}, {}, {}});
  }
  void succeed(const begun& one) { tell(one, run::succeeded{1, {}, {}}); }
  void fail(const begun& one, const std::string& code) {
    tell(one, run::failed{{}, 0, 1, {code, "It said so."}, {}});
  }
  void fail_attempt(const begun& one, std::int64_t attempt, bool counted = true) {
    tell(one, run::attempt_failed{attempt, {"gone", "It was gone."}, counted, attempt + 1, 0, {}});
    tell(one, run::attempt_started{attempt + 1, {}});
  }

  what_if_report ask(const other_policy& policy, const run_selection& selected = {}) {
    auto report = what_if(log, selected, policy);
    EXPECT_TRUE(report) << report.error().detail;
    return *std::move(report);
  }
  /// What is told of the only run that changes.
  changed_run only(const other_policy& policy) {
    auto report = ask(policy);
    EXPECT_THAT(report.changed, SizeIs(1));
    return report.changed.empty() ? changed_run{} : std::move(report.changed.front());
  }

  memory_log log;
  test::history facts{log};
};

// Goal: the run ends at the report that crosses the limit, which counts; the rest is saved.
TEST_F(what_if_test, a_lower_cost_limit_stops_a_run) {
  const auto one = begin();
  for (int i = 0; i < 4; ++i)
    spend(one, 30);
  succeed(one);
  const auto report = ask(cost(60));
  ASSERT_THAT(report.changed, SizeIs(1));
  const auto& changed = report.changed[0];
  EXPECT_EQ(changed.run, one.run);
  EXPECT_EQ(changed.session, one.session);
  EXPECT_EQ(changed.agent, "helper");
  EXPECT_EQ(changed.seq, 4u); // 60 is not more than 60.
  EXPECT_EQ(changed.recorded, run::phase::succeeded);
  EXPECT_EQ(changed.recorded_cost, micro_usd{120});
  EXPECT_EQ(changed.cost, micro_usd{90});
  ASSERT_TRUE(changed.how.end);
  EXPECT_EQ(changed.how.end->code, "cost_limit_exceeded");
  EXPECT_EQ(changed.how.end->message, "Cost limit exceeded: $0.00009 > max $0.00006");
  EXPECT_EQ(report.runs, 1u);
  EXPECT_EQ(report.stopped, 1u);
  EXPECT_EQ(report.recorded, micro_usd{120});
  EXPECT_EQ(report.otherwise, micro_usd{90});
  EXPECT_EQ(report.saved, micro_usd{30});
  EXPECT_TRUE(report.exact());
  EXPECT_THAT(ask(cost(120)).changed, IsEmpty());
}

// Goal: where its own limit ended a run, a higher one leads where nothing is recorded.
TEST_F(what_if_test, a_higher_cost_limit_is_unknown) {
  const auto one = begin(limited(50));
  spend(one, 51);
  fail(one, "cost_limit_exceeded");
  EXPECT_THAT(ask(cost(50)).changed, IsEmpty());
  EXPECT_THAT(ask(cost(10)).changed, IsEmpty()) << "it ends at the same report";
  const auto report = ask(cost(51));
  ASSERT_THAT(report.changed, SizeIs(1));
  EXPECT_FALSE(report.changed[0].how.end);
  EXPECT_EQ(report.changed[0].seq, 2u);
  EXPECT_THAT(report.changed[0].how.why, HasSubstr("own cost limit"));
  EXPECT_EQ(report.otherwise, micro_usd{51});
  EXPECT_FALSE(report.exact());
}

// Goal: a server that was killed between the report and the end that follows from it has recorded
// no other policy.
TEST_F(what_if_test, a_history_cut_behind_a_report_is_no_change) {
  const auto one = begin(limited(50));
  spend(one, 51);
  fail_attempt(one, 1, false);
  EXPECT_THAT(ask(cost(50)).changed, IsEmpty());
}

// Goal: a run that is being cancelled is not stopped by what it still spends.
TEST_F(what_if_test, a_cancelled_run_may_finish) {
  const auto one = begin();
  tell(one, run::cancel_requested{"enough", facts.clock.time + std::chrono::seconds{9}});
  spend(one, 100);
  tell(one, run::cancelled{{}, 0, 1, "enough"});
  EXPECT_THAT(ask(cost(1)).changed, IsEmpty());
  EXPECT_THAT(ask(budget(1)).changed, IsEmpty());
}

// Goal: fewer attempts end a run where the last of them failed; attempts that do not count do not.
TEST_F(what_if_test, fewer_attempts_stop_a_run) {
  const auto one = begin(tried(3));
  fail_attempt(one, 1, false);
  spend(one, 1);
  fail_attempt(one, 2);
  fail_attempt(one, 3);
  spend(one, 5);
  succeed(one);
  const auto second = only(tries(2));
  ASSERT_TRUE(second.how.end);
  EXPECT_EQ(second.how.end->code, "gone");
  EXPECT_EQ(second.seq, 7u);
  EXPECT_EQ(second.cost, micro_usd{1});
  EXPECT_EQ(only(tries(1)).seq, 5u);
  EXPECT_THAT(ask(tries(3)).changed, IsEmpty());
  EXPECT_THAT(ask(tries(9)).changed, IsEmpty()) << "it needed no more";
}

// Goal: more attempts than happened are unknown, but not behind an end that no attempt could avoid.
TEST_F(what_if_test, more_attempts_are_unknown) {
  const auto one = begin(tried(2));
  fail_attempt(one, 1);
  fail(one, "agent_error");
  const auto told = only(tries(3));
  EXPECT_FALSE(told.how.end);
  EXPECT_EQ(told.seq, 4u);
  EXPECT_THAT(told.how.why, HasSubstr("another attempt"));
  EXPECT_THAT(ask(tries(2)).changed, IsEmpty());
}

TEST_F(what_if_test, ends_that_no_attempt_avoids_stay) {
  const auto final = begin(tried(3)); // Attempts were left, so the failure was final.
  fail(final, "agent_error");
  auto late = tried(1);
  late.limits.timeout_ms = 3;
  fail(begin(late), "timeout");
  auto dear = tried(1);
  dear.limits.max_cost_micro_usd = micro_usd{5};
  const auto spender = begin(dear);
  spend(spender, 6);
  fail(spender, "cost_limit_exceeded");
  auto long_one = tried(1);
  long_one.limits.max_steps = 1;
  const auto walker = begin(long_one);
  tell(walker, run::step_started{"a", {}, {}, 1, {}, {}, {}});
  fail(walker, "step_limit_exceeded");
  EXPECT_THAT(ask(tries(9)).changed, IsEmpty());
  const auto liar = begin(tried(1)); // Says so, but has no such limit.
  fail(liar, "cost_limit_exceeded");
  EXPECT_EQ(only(tries(9)).run, liar.run);
}

// Goal: what an agent does when a step is given up, or tried again, is not recorded.
TEST_F(what_if_test, retries_of_steps_are_counted_too) {
  const auto one = begin(tried(2));
  tell(one, run::step_started{"a", {}, {}, 1, {}, {}, {}});
  tell(one, run::step_retrying{"a", 1, {"x", "."}, 2, 0, {}, {}});
  tell(one, run::step_started{"a", {}, {}, 2, {}, {}, {}});
  tell(one, run::step_failed{"a", 2, {"x", "."}, {}});
  spend(one, 7);
  succeed(one);
  const auto fewer = only(tries(1));
  EXPECT_FALSE(fewer.how.end);
  EXPECT_EQ(fewer.seq, 3u);
  EXPECT_EQ(fewer.cost, micro_usd{0});
  EXPECT_THAT(fewer.how.why, HasSubstr("step \"a\" would have been given up"));
  const auto more = only(tries(3));
  EXPECT_EQ(more.seq, 5u);
  EXPECT_THAT(more.how.why, HasSubstr("step \"a\" might have been tried again"));
  EXPECT_THAT(ask(tries(2)).changed, IsEmpty());
}

// Goal: who spends the last of the budget is stopped there, the others at their next report, later
// ones at their start; each workspace has its own.
TEST_F(what_if_test, a_budget_is_shared) {
  const auto one = begin(), two = begin();
  spend(one, 60);
  spend(two, 41);
  spend(two, 10);
  spend(one, 1);
  succeed(one);
  succeed(two);
  const auto three = begin();
  succeed(three);
  facts.workspace = workspace_id{"other"};
  const auto elsewhere = begin();
  spend(elsewhere, 100);
  succeed(elsewhere);
  const auto report = ask(budget(100));
  ASSERT_THAT(report.changed, SizeIs(3));
  EXPECT_EQ(report.changed[0].run, two.run);
  EXPECT_EQ(report.changed[0].seq, 2u);
  ASSERT_TRUE(report.changed[0].how.end);
  EXPECT_EQ(report.changed[0].how.end->code, "budget_exceeded");
  EXPECT_EQ(report.changed[0].how.end->message, "Budget exceeded: $0.000101 > $0.0001");
  EXPECT_EQ(report.changed[1].run, one.run);
  EXPECT_EQ(report.changed[1].seq, 3u);
  EXPECT_EQ(report.changed[2].run, three.run);
  EXPECT_EQ(report.changed[2].seq, 1u);
  EXPECT_EQ(report.changed[2].how.end->code, "budget_exceeded");
  EXPECT_EQ(report.recorded, micro_usd{212});
  EXPECT_EQ(report.otherwise, micro_usd{202});
  EXPECT_EQ(report.saved, micro_usd{10});
  EXPECT_THAT(ask(budget(112)).changed, IsEmpty());
}

// Goal: a run's own limit goes on counting beside a budget.
TEST_F(what_if_test, a_budget_stands_beside_limits) {
  const auto one = begin(limited(50));
  spend(one, 51);
  fail(one, "cost_limit_exceeded");
  EXPECT_THAT(ask(budget(40)).changed, IsEmpty());
  EXPECT_THAT(ask(budget(1000)).changed, IsEmpty());
}

// Goal: nothing but the selected runs is counted, and what has not ended is counted as it stands.
TEST_F(what_if_test, counts_what_is_selected) {
  const auto one = begin();
  spend(one, 10);
  facts.clock.time += std::chrono::seconds{1};
  const auto then = facts.clock.time;
  const auto two = begin();
  spend(two, 20);
  const auto waiting = facts.fresh_run(two.session);
  facts.write_session(two.session, facts.turn(waiting, 2));
  const auto spent = [&](const run_selection& selected, std::uint64_t runs) {
    const auto report = ask(cost(1), selected);
    EXPECT_EQ(report.runs, runs);
    return count(report.recorded);
  };
  EXPECT_EQ(spent({}, 3), 30);
  EXPECT_EQ(spent({one.run, {}, {}, {}}, 1), 10);
  EXPECT_EQ(spent({two.run, {}, {}, {}}, 1), 20);
  EXPECT_EQ(spent({waiting, {}, {}, {}}, 1), 0);
  EXPECT_EQ(spent({{}, two.session, {}, {}}, 2), 20);
  EXPECT_EQ(spent({{}, {}, workspace_id{"default"}, {}}, 3), 30);
  EXPECT_EQ(spent({{}, {}, workspace_id{"other"}, {}}, 0), 0);
  EXPECT_EQ(spent({{}, {}, {}, then}, 2), 20);
  EXPECT_EQ(spent({{}, one.session, {}, then}, 0), 0);
  EXPECT_EQ(spent({run_id{"run_01HZZZZZZZZZZZZZZZZZZZZZZZ"}, {}, {}, {}}, 0), 0);
  EXPECT_EQ(only(cost(15)).recorded, run::phase::running);
}

// Goal: a run with a damaged event is as it was before it, and not taken for exact.
TEST_F(what_if_test, damage_is_unknown) {
  const auto one = begin(), two = begin();
  spend(one, 10);
  spend(one, 20);
  spend(two, 30);
  test::rows_log rows{log};
  for (auto& r : rows.rows)
    if (r.event.stream == stream_of(one.run) && r.event.seq == 3)
      r.event.data += ' ';
  auto report = what_if(rows, {}, cost(100));
  ASSERT_TRUE(report);
  ASSERT_THAT(report->changed, SizeIs(1));
  EXPECT_EQ(report->changed[0].run, one.run);
  EXPECT_EQ(report->changed[0].seq, 3u);
  EXPECT_THAT(report->changed[0].how.why, HasSubstr("damaged"));
  EXPECT_EQ(report->damaged, 1u);
  EXPECT_EQ(report->recorded, micro_usd{40});
  EXPECT_FALSE(report->exact());
  report = what_if(rows, {{}, one.session, {}, {}}, cost(100));
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().seq, 3u);
}

} // namespace
} // namespace runledger::replay
