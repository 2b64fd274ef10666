// Goal: a lease survives a cut connection: nothing that the harness said is lost, nothing that the
// server says twice reaches it twice.

#include "cli/worker_lease.hpp"

#include <gtest/gtest.h>

namespace runledger::cli {
namespace {

harness::frame frame_of(const char* line) {
  auto f = harness::parse_frame(line);
  EXPECT_TRUE(f) << line;
  return f ? *f : harness::frame{};
}

/// A lease that hears lines as the server writes them.
struct held_by_worker {
  worker_lease lease{{"run_1", 3}};
  std::optional<std::string> hear(std::string line) {
    line.pop_back();
    auto parsed = harness::parse_server_line(line);
    return lease.take_line(*parsed, line);
  }
  std::size_t unanswered() { return lease.unanswered().size(); }
};

// Goal: a step's beginning is kept until it is answered, whatever is acknowledged before.
TEST(WorkerLease, AStepIsAnsweredByItsGo) {
  held_by_worker w;
  w.lease.take_frame(frame_of(R"({"type":"step.start","key":"a"})"));
  EXPECT_FALSE(w.hear(harness::ack_line("run_1", "w3.1"))) << "the id is the worker's own";
  EXPECT_EQ(w.unanswered(), 1U);
  EXPECT_TRUE(w.hear(harness::step_go_line("run_1", "a", 1)));
  EXPECT_EQ(w.unanswered(), 0U);
}

// Goal: a `step.go` that is said again does not execute the step again; a later execution's does.
TEST(WorkerLease, GoIsPassedOnce) {
  held_by_worker w;
  EXPECT_TRUE(w.hear(harness::step_go_line("run_1", "a", 1)));
  EXPECT_FALSE(w.hear(harness::step_go_line("run_1", "a", 1)));
  EXPECT_TRUE(w.hear(harness::step_go_line("run_1", "a", 2)));
  EXPECT_TRUE(w.hear(harness::step_go_line("run_1", "b", 1)));
}

// Goal: what the server would not read is not kept, or every new connection would begin with it.
TEST(WorkerLease, AMessageThatIsTooLongIsNotKept) {
  held_by_worker w;
  auto log = frame_of(R"({"type":"log","level":"info","message":"x"})");
  log.message = std::string(300'000, '\b'); // One byte, six in the message.
  EXPECT_FALSE(w.lease.take_frame(log));
  EXPECT_EQ(w.unanswered(), 0U);
  EXPECT_FALSE(w.lease.last_word_said());
  EXPECT_FALSE(w.lease.take_end({w.lease.held(), "protocol_error", "too long", true}).empty());
  EXPECT_TRUE(w.lease.last_word_said()) << "what comes now does not count";
}

// Goal: what the step gave is kept until it is durable, and the harness hears of its own ids alone.
TEST(WorkerLease, OutcomesWaitForTheirAcknowledgement) {
  held_by_worker w;
  w.lease.take_frame(frame_of(R"({"type":"step.done","key":"a","output":1})"));
  w.lease.take_frame(frame_of(R"({"type":"step.done","key":"b","output":1,"id":"mine"})"));
  EXPECT_EQ(w.unanswered(), 2U);
  EXPECT_GT(w.lease.kept_bytes(), 0U);
  EXPECT_FALSE(w.hear(harness::ack_line("run_1", "w3.1")));
  EXPECT_TRUE(w.hear(harness::ack_line("run_1", "mine")));
  EXPECT_FALSE(w.hear(harness::ack_line("run_1", "mine")));
  EXPECT_EQ(w.unanswered(), 0U);
  EXPECT_EQ(w.lease.kept_bytes(), 0U);
}

// Goal: an answer that nobody waits for is dropped: the harness has got it.
TEST(WorkerLease, CachedAndGivenUpOnce) {
  held_by_worker w;
  w.lease.take_frame(frame_of(R"({"type":"step.start","key":"a"})"));
  EXPECT_TRUE(w.hear(harness::step_cached_line("run_1", "a", "1")));
  EXPECT_FALSE(w.hear(harness::step_cached_line("run_1", "a", "1")));
  w.lease.take_frame(frame_of(R"({"type":"step.fail","key":"b","error":{"message":"no"}})"));
  EXPECT_TRUE(w.hear(harness::step_give_up_line("run_1", "b", "{}")));
  EXPECT_FALSE(w.hear(harness::step_give_up_line("run_1", "b", "{}")));
  EXPECT_TRUE(w.hear(harness::cancel_line("run_1", 5)));
  EXPECT_FALSE(w.hear(harness::cancel_line("run_1", 4)));
}

// Goal: a worker says that it holds a run only when the whole beginning has come.
TEST(WorkerLease, BegunWithTheLastOfTheHistory) {
  held_by_worker w;
  EXPECT_FALSE(w.lease.begun());
  w.hear("{\"type\":\"run.start\",\"run\":\"run_1\",\"history_more\":true}\n");
  EXPECT_FALSE(w.lease.begun());
  w.hear("{\"type\":\"history\",\"run\":\"run_1\",\"items\":[],\"more\":false}\n");
  EXPECT_TRUE(w.lease.begun());
}

// Goal: the last word is known, and an end without one is kept for a later connection.
TEST(WorkerLease, TheEndIsKept) {
  held_by_worker w;
  w.lease.take_end({{"run_1", 3}, "harness_exited", "gone", true});
  EXPECT_EQ(w.unanswered(), 1U);
  EXPECT_TRUE(w.lease.last_word_said());
  held_by_worker other;
  EXPECT_FALSE(other.lease.last_word_said());
  other.lease.take_frame(frame_of(R"({"type":"result","output":1})"));
  EXPECT_TRUE(other.lease.last_word_said());
}

} // namespace
} // namespace runledger::cli
