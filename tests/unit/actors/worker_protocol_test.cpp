// Goal: what server and worker say to each other survives the way, and garbage is refused with a
// reason.

#include "actors/harness/worker_protocol.hpp"

#include <gtest/gtest.h>

namespace runledger::harness {
namespace {

template <class Message>
Message read(const std::string& text) {
  auto parsed = parse_worker_message(text);
  if (!parsed) {
    ADD_FAILURE() << text << ": " << parsed.error().text();
    return {};
  }
  const auto* message = std::get_if<Message>(&*parsed);
  EXPECT_NE(message, nullptr) << text;
  return message != nullptr ? *message : Message{};
}

std::string complaint(const std::string& text) {
  auto parsed = parse_worker_message(text);
  return parsed ? "none" : parsed.error().text();
}

constexpr const char* token = "0123456789abcdef";

// Goal: a greeting is read as it was written.
TEST(WorkerProtocol, Hello) {
  worker_hello hello{"gpu", "host \"a\"", token, 4, {{"run_1", 7}, {"run_2", 9}}};
  auto got = read<worker_hello>(worker_hello_message(hello));
  EXPECT_EQ(got.queue, "gpu");
  EXPECT_EQ(got.name, "host \"a\"");
  EXPECT_EQ(got.slots, 4);
  ASSERT_EQ(got.leases.size(), 2U);
  EXPECT_EQ(got.leases[1].epoch, 9);
}

// Goal: each kind of frame arrives with the members that it had, and with an id.
TEST(WorkerProtocol, FramesKeepTheirMembers) {
  const char* lines[] = {
      R"({"type":"step.start","key":"a","name":"n","kind":"k","timeout_ms":5,"max_cost_usd":0.5})",
      R"({"type":"step.done","key":"a","output":{"x":[1, 2.50]}})",
      R"({"type":"step.fail","key":"a","error":{"message":"m","code":"c"},"retryable":false})",
      R"({"type":"message","role":"user","content":"hi"})",
      R"({"type":"tool.call","key":"a","tool":"t","args":[1]})",
      R"({"type":"tool.result","key":"a","tool":"t","output":null})",
      R"({"type":"tool.result","key":"a","tool":"t","error":"no"})",
      R"({"type":"checkpoint","state":{"n":1}})",
      R"({"type":"usage","tokens_in":1,"tokens_out":2,"cost_usd":0.000001,"model":"m","key":"a"})",
      R"({"type":"log","level":"info","message":"m","fields":{"a":1}})",
      R"({"type":"artifact","path":"p","name":"n","media_type":"text/plain"})",
      R"({"type":"result","output":"done"})",
      R"({"type":"error","message":"m","code":"c","retryable":true})",
  };
  for (const auto* line : lines) {
    SCOPED_TRACE(line);
    auto f = parse_frame(line);
    ASSERT_TRUE(f);
    auto got = read<worker_frame>(worker_frame_message({"run_1", 3}, *f, "w3.1"));
    EXPECT_EQ(got.lease.epoch, 3);
    EXPECT_EQ(got.frame.run, "run_1");
    EXPECT_EQ(got.frame.id, "w3.1");
    got.frame.run.clear();
    got.frame.id.clear();
    EXPECT_EQ(worker_frame_message({"run_1", 3}, got.frame, "w3.1"),
              worker_frame_message({"run_1", 3}, *f, "w3.1"));
    EXPECT_EQ(got.frame.payload, f->payload);
    EXPECT_EQ(got.frame.error_json, f->error_json);
    EXPECT_EQ(got.frame.retryable, f->retryable);
    EXPECT_EQ(got.frame.timeout_ms, f->timeout_ms);
  }
}

// Goal: a frame's own id is kept.
TEST(WorkerProtocol, AFramesOwnIdWins) {
  auto f = parse_frame(R"({"type":"result","output":1,"id":"mine"})");
  ASSERT_TRUE(f);
  EXPECT_EQ(read<worker_frame>(worker_frame_message({"run_1", 3}, *f, "w3.1")).frame.id, "mine");
}

// Goal: a harness's garbage costs its lease, a worker's its connection.
TEST(WorkerProtocol, GarbageIsRefusedWhereItBelongs) {
  auto bad = read<worker_bad_frame>(
      R"({"type":"frame","run":"run_1","lease":3,"frame":{"type":"step.start"}})");
  EXPECT_EQ(bad.lease.epoch, 3);
  EXPECT_NE(bad.error.message.find("key"), std::string::npos);
  read<worker_bad_frame>(R"({"type":"frame","run":"run_1","lease":3,)"
                         R"("frame":{"type":"result","run":"run_2","output":1}})");
  EXPECT_NE(complaint("x"), "none");
  EXPECT_NE(complaint("[]"), "none");
  EXPECT_NE(complaint(R"({"type":"worker.dance"})").find("unknown type"), std::string::npos);
  EXPECT_NE(complaint(R"({"type":"frame","run":"run_1","frame":{}})").find("lease"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"type":"worker.slots","slots":-1})"), "none");
  EXPECT_NE(complaint(R"({"type":"worker.hello","protocol":2,"queue":"q"})").find("protocol"),
            std::string::npos);
  EXPECT_NE(complaint(R"({"type":"worker.hello","protocol":1,"queue":"q","token":"short"})")
                .find("token"),
            std::string::npos);
  EXPECT_NE(complaint(std::string(max_worker_message_bytes + 1, ' ')).find("too long"),
            std::string::npos);
}

// Goal: the server's lines tell a worker what it has to know.
TEST(WorkerProtocol, ServerLines) {
  auto welcome = parse_server_line(worker_welcome_line("wrk_1", 30'000));
  ASSERT_TRUE(welcome);
  EXPECT_EQ(welcome->worker, "wrk_1");
  EXPECT_EQ(welcome->lease_ms, 30'000);
  auto granted = parse_server_line(
      lease_granted_line({{"run_1", 7}, 2, 60'000, 5'000, {{"NAME", "value \"1\""}}}));
  ASSERT_TRUE(granted);
  EXPECT_EQ(granted->lease, 7);
  EXPECT_EQ(granted->attempt, 2);
  EXPECT_EQ(granted->environment.front().second, "value \"1\"");
  auto ended = parse_server_line(lease_ended_line({"run_1", 7}, "lost"));
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, "lost");
  EXPECT_FALSE(parse_server_line("nothing"));
}

// Goal: what a worker says of an end is cut to what an event may hold, between two characters.
TEST(WorkerProtocol, LongReasonsAreCut) {
  std::string long_text;
  for (int i = 0; i < 40'000; ++i)
    long_text += "ä";
  auto got = read<worker_lease_ended>(
      worker_lease_ended_message({{"run_1", 1}, "code", long_text, false}));
  EXPECT_LE(got.message.size(), 64U << 10);
  EXPECT_EQ(got.message.size() % 2, 0U);
  EXPECT_FALSE(got.counted);
}

} // namespace
} // namespace runledger::harness
