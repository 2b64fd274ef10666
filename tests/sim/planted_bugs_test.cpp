#include "events/planted_bugs.hpp"
#include "tests/sim/simulation.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#ifdef RUNLEDGER_PLANT_BUGS

namespace runledger::sim {

namespace {

using ::testing::AnyOf;
using ::testing::HasSubstr;

struct planted_case {
  std::string_view name;
  /// What must be said about it, so that it was not found by accident.
  ::testing::Matcher<std::string> complaint;
};

planted_case case_of(bug b) {
  switch (b) {
    case bug::fold_accepts_gap:
      return {"fold_accepts_gap",
              HasSubstr("the ledger accepted it, although its seq is not the next one")};
    case bug::fold_accepts_old_epoch:
      return {"fold_accepts_old_epoch",
              HasSubstr("the ledger accepted it, although its writer does not have the partition")};
    case bug::fold_ignores_chain:
      return {"fold_ignores_chain",
              HasSubstr("the ledger accepted it, although it does not follow the last event")};
    case bug::effect_before_commit:
      return {"effect_before_commit",
              AnyOf(HasSubstr("before it is durable"), HasSubstr("before its event is durable"),
                    HasSubstr("before that is durable"))};
    case bug::answer_before_commit:
      return {"answer_before_commit",
              HasSubstr("its actor believes in events that the ledger does not hold")};
    case bug::unknown_append_ignored:
      return {"unknown_append_ignored",
              HasSubstr("its actor believes in events that the ledger does not hold")};
    case bug::timer_lost:
      return {"timer_lost", HasSubstr("after an hour of clear weather this is unfinished")};
    case bug::cancel_loses_to_success:
      return {"cancel_loses_to_success", HasSubstr("the run was being cancelled")};
    case bug::step_done_twice:
      return {"step_done_twice", HasSubstr("the step is recorded twice")};
    case bug::retry_forgets_attempt:
      return {"retry_forgets_attempt", HasSubstr("attempt 1 follows attempt 1")};
    case bug::recovery_skips_session:
      return {"recovery_skips_session",
              HasSubstr("after an hour of clear weather this is unfinished")};
    case bug::frame_id_forgotten:
      return {"frame_id_forgotten", HasSubstr("took effect twice")};
    case bug::usage_counted_twice:
      return {"usage_counted_twice",
              HasSubstr("the folded cost or number of steps is not the sum of the events")};
    case bug::view_skips_event:
      return {"view_skips_event", HasSubstr("the views")};
    case bug::none:
    case bug::end_of_list:
      break;
  }
  return {"none", HasSubstr("")};
}

std::vector<bug> all_bugs() {
  std::vector<bug> out;
  for (int i = 1; i < static_cast<int>(bug::end_of_list); ++i)
    out.push_back(static_cast<bug>(i));
  return out;
}

class PlantedBug : public ::testing::TestWithParam<bug> {
protected:
  void TearDown() override { planted_bug = bug::none; }
};

} // namespace

// Goal: the simulation finds each of the bugs that it is there to find, within a number of seeds
// that is a fraction of what it runs through, and says what is wrong.
TEST_P(PlantedBug, IsFound) {
  constexpr std::uint64_t seeds_max = 200;
  verdict_of_seed got;
  std::uint64_t seed = 0;
  planted_bug = GetParam();
  while (got.problem.empty() && seed < seeds_max)
    got = simulate(++seed);
  planted_bug = bug::none;
  ASSERT_FALSE(got.problem.empty()) << "not found within " << seeds_max << " seeds";
  EXPECT_THAT(got.problem, case_of(GetParam()).complaint) << got.report;
  RecordProperty("seeds", static_cast<int>(seed));
  EXPECT_EQ(simulate(seed).problem, "") << "without the bug";
}

INSTANTIATE_TEST_SUITE_P(Each, PlantedBug, ::testing::ValuesIn(all_bugs()),
                         [](const auto& each) { return std::string{case_of(each.param).name}; });

} // namespace runledger::sim

#endif
