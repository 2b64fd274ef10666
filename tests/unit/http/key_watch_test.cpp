// Goal: a node believes its keys only while it knows that nobody revoked one without telling it.

#include "http/cluster/key_watch.hpp"

#include <gtest/gtest.h>

#include <deque>

namespace runledger::http {
namespace {

using std::chrono::milliseconds;

class any_key final : public authenticator {
public:
  result<principal_ptr, auth_refusal> authenticate(std::string_view, std::string_view) override {
    return std::make_shared<const principal>();
  }
};

class key_watch_test : public ::testing::Test {
protected:
  void begin() {
    watch.begin([this] { ++began; });
  }
  /// So long nothing runs.
  void stand_still(milliseconds time) { now += time; }
  /// Goes on tick by tick.
  void tick(int times = 1) {
    for (int i = 0; i < times; ++i) {
      now += session / 12;
      const auto until = std::chrono::steady_clock::now() + session / 12;
      io.restart();
      while (std::chrono::steady_clock::now() < until + milliseconds{5})
        io.run_for(milliseconds{1});
    }
  }
  void tell(bool current) {
    auto then = std::move(waiting.front());
    waiting.pop_front();
    then(current);
    io.restart();
    io.poll();
  }
  fault answer() {
    auto who = watch.authenticate("", "");
    return who ? fault::internal : who.error().why; // `internal`: none.
  }
  static constexpr auto none = fault::internal;

  static constexpr milliseconds session{60};
  net::io_context io{1};
  any_key keys;
  milliseconds now{1000};
  bool member = true, stale = false, loads = true;
  int asked = 0, began = 0;
  std::deque<std::function<void(bool)>> waiting;
  key_watch watch{io, keys, session,
                  key_watch::parts{[this](std::function<void(bool)> then) {
                                     ++asked;
                                     waiting.push_back(std::move(then));
                                   },
                                   [this](const std::function<void(bool)>& then) { then(loads); },
                                   [this] { return member; }, [this] { return stale; },
                                   [this] { return now; }}};
};

} // namespace

// Goal: who joins answers when the keys were read behind a barrier, and not before.
TEST_F(key_watch_test, waits_for_the_first_keys) {
  begin();
  EXPECT_EQ(answer(), fault::not_ready);
  loads = false;
  tell(true);
  EXPECT_EQ(answer(), fault::not_ready);
  tick();
  loads = true;
  tell(true);
  EXPECT_EQ(answer(), none);
  EXPECT_TRUE(watch.takes_writes());
  EXPECT_EQ(began, 1);
  tick(3);
  EXPECT_EQ(asked, 2) << "nothing gives a reason to ask again";
}

// Goal: who slept for long answers nobody before it has asked anew, also the request that comes
// first; what it had asked before says nothing.
TEST_F(key_watch_test, doubts_its_keys_after_a_sleep) {
  begin();
  stand_still(session);
  tell(true);
  EXPECT_EQ(answer(), fault::not_ready);
  tick(2);
  ASSERT_EQ(waiting.size(), 1U);
  tell(true);
  EXPECT_EQ(answer(), none);
  stand_still(session);
  EXPECT_EQ(answer(), fault::not_ready) << "before the timer";
  EXPECT_FALSE(watch.answers());
  tick(2);
  ASSERT_EQ(waiting.size(), 1U);
  tell(true);
  EXPECT_EQ(answer(), none);
  stale = true;
  tick();
  ASSERT_EQ(waiting.size(), 1U);
  EXPECT_EQ(answer(), none) << "without brokers, and awake";
  stand_still(session);
  tell(false);
  EXPECT_EQ(answer(), fault::not_ready) << "it was asked before the sleep";
}

// Goal: who fell out of the group knows nothing until it is a member again and has asked as one.
TEST_F(key_watch_test, doubts_its_keys_outside_of_the_group) {
  begin();
  tell(true);
  member = false;
  tick(2);
  EXPECT_EQ(answer(), fault::not_ready);
  ASSERT_EQ(waiting.size(), 1U);
  member = true;
  tell(true); // Asked before.
  EXPECT_EQ(answer(), fault::not_ready);
  tick();
  tell(true);
  EXPECT_EQ(answer(), none);
  EXPECT_EQ(began, 1);
}

// Goal: without brokers reads go on with the keys at hand, and nothing is changed; when they are
// back the keys are read anew first.
TEST_F(key_watch_test, reads_go_on_without_brokers) {
  begin();
  tell(true);
  stale = true;
  tick();
  EXPECT_EQ(answer(), none);
  EXPECT_FALSE(watch.takes_writes());
  member = false; // That follows.
  tick();
  tell(false);
  EXPECT_EQ(answer(), none);
  EXPECT_FALSE(watch.takes_writes());
  stale = false;
  tick();
  tell(true);
  EXPECT_EQ(answer(), fault::not_ready) << "no member yet";
  member = true;
  tick();
  tell(true);
  EXPECT_EQ(answer(), none);
  EXPECT_TRUE(watch.takes_writes());
}

} // namespace runledger::http
