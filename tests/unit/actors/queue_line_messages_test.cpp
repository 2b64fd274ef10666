#include "actors/queue_line_messages.hpp"

#include <gtest/gtest.h>

namespace runledger::line {

namespace {

template <class T>
T again(const T& what) {
  auto got = parse(to_text(what));
  if (!got || !std::holds_alternative<T>(*got)) {
    ADD_FAILURE() << to_text(what);
    return {};
  }
  return std::get<T>(*got);
}

const run_id run{"run_1"};

// Goal: what the run's side says comes out as it was.
TEST(queue_line_messages, runs_are_understood) {
  const auto wait = again(wait_for_worker{run, session_id{"sess_1"}, 3, true, 12});
  EXPECT_EQ(wait.epoch, 12U);
  EXPECT_EQ(wait.run, run);
  EXPECT_EQ(wait.session.value, "sess_1");
  EXPECT_EQ(wait.attempt, 3);
  EXPECT_TRUE(wait.again);
  EXPECT_FALSE(again(wait_for_worker{run, session_id{"sess_1"}, 1, false}).again);
  EXPECT_EQ(again(stop_waiting{run}).run, run);
  EXPECT_EQ(again(resume{run, 7}).attempt, 7);
  EXPECT_EQ(again(resume{run, 7, 13}).epoch, 13U);
  const auto over = again(finish{run, 5, true, false});
  EXPECT_EQ(over.lease, 5);
  EXPECT_TRUE(over.clean);
  EXPECT_FALSE(over.moves);
  EXPECT_TRUE(again(finish{run, 5, false, true}).moves);
  EXPECT_EQ(again(done{~std::uint64_t{0} >> 1}).number, ~std::uint64_t{0} >> 1);
}

// Goal: lines for a harness and secrets travel byte by byte, whatever stands in them.
TEST(queue_line_messages, lines_and_secrets_are_unchanged) {
  const std::string lines = "{\"type\":\"run.start\"}\n{\"a\":\"\\n\"}\n\n";
  const begin what{run, 4, 2, 60'000, 2000, {{"KEY", "a\"\n\\b"}, {"EMPTY", ""}}, lines};
  const auto got = again(what);
  EXPECT_EQ(got.lease, 4);
  EXPECT_EQ(got.attempt, 2);
  EXPECT_EQ(got.heartbeat_ms, 60'000);
  EXPECT_EQ(got.drain_ms, 2000);
  EXPECT_EQ(got.environment, what.environment);
  EXPECT_EQ(got.lines, lines);
  EXPECT_EQ(again(write{run, lines}).lines, lines);
  EXPECT_EQ(again(write{run, ""}).lines, "");
}

// Goal: what the queue's side says comes out as it was, frames with their ids and payloads as
// written.
TEST(queue_line_messages, queues_are_understood) {
  const auto given = again(granted{run, 9, worker_id{"wrk_1"}});
  EXPECT_EQ(given.lease, 9);
  EXPECT_EQ(given.worker.value, "wrk_1");
  const auto lost = again(gone{run, 2, "lease_lost", "It is \"lost\".\n", true});
  EXPECT_EQ(lost.attempt, 2);
  EXPECT_EQ(lost.code, "lease_lost");
  EXPECT_EQ(lost.message, "It is \"lost\".\n");
  EXPECT_TRUE(lost.counted);
  EXPECT_EQ(again(resumed{run, 9, 2}).lease, 9);
  EXPECT_EQ(again(returned{run, 9}).lease, 9);

  harness::frame f;
  f.type = harness::frame_type::step_done;
  f.id = "w9.1";
  f.key = "a";
  f.payload = "{\n \"x\": 1.50 }";
  const auto got = again(frame{run, 2, 17, f});
  EXPECT_EQ(got.attempt, 2);
  EXPECT_EQ(got.number, 17U);
  EXPECT_EQ(got.what.id, "w9.1");
  EXPECT_EQ(got.what.payload, f.payload);
  EXPECT_EQ(got.what.run, run.value);
}

// Goal: what is no message is told apart from one, and a frame that cannot be read is the end of
// its attempt, not of the line.
TEST(queue_line_messages, nonsense_is_refused) {
  for (const char* text :
       {"", "{}", "{}\n", "no\n", "[]\n", "{\"type\":\"wait\"}\n",
        "{\"type\":\"dance\",\"run\":\"run_1\"}\n", "{\"type\":\"frame\",\"run\":\"run_1\"}\n{}",
        "{\"type\":\"begin\",\"run\":\"run_1\",\"env\":[[\"one\"]]}\n"})
    EXPECT_FALSE(parse(text)) << text;
  auto bad = parse("{\"type\":\"frame\",\"run\":\"run_1\",\"number\":1}\n"
                   "{\"type\":\"frame\",\"run\":\"run_1\",\"lease\":2,\"frame\":{\"type\":\"x\"}}");
  ASSERT_TRUE(bad && std::holds_alternative<gone>(*bad));
  EXPECT_EQ(std::get<gone>(*bad).attempt, 2);
  EXPECT_EQ(std::get<gone>(*bad).code, "protocol_error");
}

} // namespace

} // namespace runledger::line
