#include "events/fail_point.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace runledger {
namespace {

// The environment is read once in a process, so each case has a process of its own.
class fail_point_test : public ::testing::Test {
protected:
  void SetUp() override { ::testing::FLAGS_gtest_death_test_style = "threadsafe"; }
  static void plan(const char* text) { ::setenv("RUNLEDGER_FAIL_POINT", text, 1); }
};

// Goal: the named point kills the process at its nth call, and no other point does.
TEST_F(fail_point_test, kills_at_the_nth_call_of_its_name) {
  EXPECT_EXIT(
      {
        plan("here");
        fail_point("there");
        fail_point("here");
        ::_exit(0);
      },
      ::testing::KilledBySignal(SIGKILL), "");
  EXPECT_EXIT(
      {
        plan("here:3");
        fail_point("here");
        fail_point("here");
        ::_exit(7);
      },
      ::testing::ExitedWithCode(7), "");
  EXPECT_EXIT(
      {
        plan("here:3");
        for (int i = 0; i < 3; ++i)
          fail_point("here");
        ::_exit(0);
      },
      ::testing::KilledBySignal(SIGKILL), "");
}

// Goal: without a plan nothing happens.
TEST_F(fail_point_test, does_nothing_without_a_plan) {
  EXPECT_EXIT(
      {
        ::unsetenv("RUNLEDGER_FAIL_POINT");
        fail_point("here");
        ::_exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

} // namespace
} // namespace runledger
