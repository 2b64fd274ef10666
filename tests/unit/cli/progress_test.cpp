#include "cli/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runledger::cli {

namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

struct stage {
  std::chrono::steady_clock::time_point now{};
  std::string shown;
  progress make(bool on_terminal) {
    return {"verify", "events", on_terminal, [this] { return now; },
            [this](const std::string& text) { shown += text; }};
  }
};

// Goal: elsewhere than on a terminal there is a plain line now and then, with rate and remaining
// time.
TEST(progress, writes_plain_lines) {
  stage s;
  auto bar = s.make(false);
  bar.update(100'000, 3'000'000);
  EXPECT_EQ(s.shown, "");
  s.now += milliseconds{2000};
  bar.update(1'000'000, 3'000'000);
  EXPECT_EQ(s.shown, "verify: 1,000,000 of 3,000,000 events, 500,000/s, 4 s left\n");
  s.now += milliseconds{4000};
  bar.update(1'500'000, 3'000'000);
  s.now += milliseconds{1500};
  bar.update(1'500'000, 3'000'000);
  bar.finish();
  EXPECT_EQ(s.shown, "verify: 1,000,000 of 3,000,000 events, 500,000/s, 4 s left\n"
                     "verify: 1,500,000 of 3,000,000 events, 200,000/s, 8 s left\n");
}

// Goal: on a terminal one bar is drawn over itself and taken away at the end.
TEST(progress, draws_a_bar_on_a_terminal) {
  stage s;
  {
    auto bar = s.make(true);
    s.now += milliseconds{1000};
    bar.update(500, 100'000);
    s.now += milliseconds{99};
    bar.update(40'000, 100'000);
    EXPECT_EQ(s.shown,
              "\r\x1b[K[..............................]   0 % verify: 500 of 100,000 events, "
              "500/s, 3 min 19 s left");
    s.shown.clear();
    s.now += milliseconds{901};
    bar.update(50'000, 100'000);
    EXPECT_THAT(s.shown, HasSubstr("\r\x1b[K[###############...............]  50 % "));
    s.shown.clear();
  }
  EXPECT_EQ(s.shown, "\r\x1b[K");
}

// Goal: nothing is said of what is over at once.
TEST(progress, is_quiet_for_what_is_quick) {
  stage s;
  {
    auto bar = s.make(true);
    s.now += milliseconds{900};
    bar.update(10, 10);
  }
  EXPECT_EQ(s.shown, "");
}

} // namespace

} // namespace runledger::cli
