#include "events/partition.hpp"

#include "events/log/memory_log.hpp"
#include "tests/support/log_writers.hpp"

namespace runledger::test {

class take_partition_test : public testing::Test {
protected:
  result<partition_claim, claim_error> take(std::chrono::milliseconds patience = {}) {
    return take_partition(log_, 0, "node", clock_, ids_,
                          patience.count() > 0 ? patience : std::chrono::seconds{10});
  }
  memory_log log_;
  fixed_clock clock_;
  counting_ids ids_;
};

// Goal: a log that does not write is no partition, and the error says so.
TEST_F(take_partition_test, fails_when_the_log_does_not_write) {
  log_.fail_next(1, append_fault::unavailable);
  auto taken = take();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().what, claim_error::kind::unavailable);
  EXPECT_FALSE(taken.error().detail.empty());
  EXPECT_TRUE(take());
}

// Goal: whether an append with an unknown end was written is found out by reading; nothing is
// claimed twice or not at all.
TEST_F(take_partition_test, finds_out_how_an_unknown_append_ended) {
  log_.fail_next(2, append_fault::unknown_but_written);
  auto first = take();
  ASSERT_TRUE(first) << first.error().detail;
  EXPECT_EQ(first->epoch, 1u);
  EXPECT_EQ(log_.end_offset(0), 2);
  log_.fail_next(1, append_fault::unknown_not_written);
  auto second = take();
  ASSERT_TRUE(second) << second.error().detail;
  EXPECT_EQ(second->epoch, 2u);
  EXPECT_EQ(log_.end_offset(0), 3);
}

// Goal: a log that never answers does not block the start for good.
TEST_F(take_partition_test, gives_up_on_a_log_that_does_not_answer) {
  log_.hold_appends(true);
  auto taken = take(std::chrono::milliseconds{1});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().what, claim_error::kind::unavailable);
}

// Goal: a partition behind the first is given up too where it cannot be founded.
TEST(take_partition, gives_up_on_a_later_partition) {
  memory_log log{{{"runs", 1}, {"catalog", 1}}};
  fixed_clock clock;
  counting_ids ids;
  ASSERT_TRUE(take_partition(log, 0, "node", clock, ids));
  for (const auto fault : {append_fault::unavailable, append_fault::unknown_not_written}) {
    log.fail_next(1, fault);
    auto taken = take_partition(log, 1, "node", clock, ids);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().what, claim_error::kind::unavailable);
  }
  EXPECT_TRUE(take_partition(log, 1, "node", clock, ids));
}

// Goal: a damaged founding event is not built upon.
TEST_F(take_partition_test, refuses_a_damaged_partition_stream) {
  ASSERT_TRUE(take());
  log_.damage(partition_stream("ledger", 0), 1);
  auto taken = take();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().what, claim_error::kind::corrupt);
  EXPECT_NE(taken.error().detail.find("part_ledger_0 at seq 1"), std::string::npos)
      << taken.error().detail;
}

// Goal: a stream that begins with anything else is no partition's.
TEST_F(take_partition_test, refuses_a_stream_that_was_not_founded) {
  stream_maker s{"part_ledger_0", 0};
  ASSERT_EQ(append_one(log_, {s.next()}).outcome, append_outcome::accepted);
  auto taken = take();
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().what, claim_error::kind::corrupt);
}

// Goal: the head that a claim returns is the one behind it.
TEST_F(take_partition_test, returns_the_head_behind_the_claim) {
  auto taken = take();
  ASSERT_TRUE(taken);
  auto head = log_.head(partition_stream("ledger", 0));
  EXPECT_EQ((*head)->seq, taken->head.seq);
  EXPECT_EQ((*head)->hash, taken->head.hash);
  EXPECT_EQ((*head)->partition_key, taken->head.partition_key);
}

// Goal: the founding event's data is read as it was written, and nothing else is taken for it.
TEST(read_opened, reads_its_own_form_only) {
  auto opened = read_opened(R"({"partitions":12,"partitioner":"murmur2","ledger":"01ABC"})");
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->partitions, 12u);
  EXPECT_EQ(opened->partitioner, "murmur2");
  EXPECT_EQ(opened->ledger, "01ABC");
  for (const char* bad :
       {"", "{}", R"({"partitions":0,"partitioner":"murmur2","ledger":"L"})",
        R"({"partitions":-1,"partitioner":"murmur2","ledger":"L"})",
        R"({"partitions":99999999999,"partitioner":"murmur2","ledger":"L"})",
        R"({"partitions":1,"partitioner":"murmur2"})", R"({"partitions":1,"partitioner":"mur)",
        R"({"partitions":1,"partitioner":"murmur2","ledger":"L)",
        R"({"partitions":1,"partitioner":"murmur2","ledger":"L"} )",
        R"({"partitions":1,"partitioner":"murmur2","ledger":"L","more":1})",
        R"({"ledger":"L","partitions":1,"partitioner":"murmur2"})"})
    EXPECT_FALSE(read_opened(bad)) << bad;
}

// Goal: a command's events are chained, sealed, and never go back in time; the request is taken
// once.
TEST(stream_writer, chains_events) {
  stream_head start;
  stream_writer w{start};
  envelope e;
  e.stream.value = e.partition_key = session_name(1);
  e.type = full_type("session.closed", 1);
  e.time = from_ms(5000);
  e.data = "{}";
  const auto& first = w.add(e, 3, true, 77);
  e.time = from_ms(4000);
  e.partition_key = "ignored behind the first event";
  const auto& second = w.add(e, 3, false);
  EXPECT_EQ(first.event.seq, 1u);
  EXPECT_EQ(first.event.prevhash, digest{});
  EXPECT_EQ(first.epoch, 3u);
  EXPECT_TRUE(first.open);
  EXPECT_EQ(first.due_ms, 77);
  EXPECT_EQ(second.event.seq, 2u);
  EXPECT_EQ(second.event.prevhash, first.event.eventhash);
  EXPECT_EQ(second.event.partition_key, session_name(1));
  EXPECT_EQ(second.event.time, from_ms(5000));
  EXPECT_TRUE(hashes_match(first.event));
  EXPECT_TRUE(hashes_match(second.event));
  EXPECT_EQ(w.head().seq, 2u);
  EXPECT_EQ(w.head().hash, second.event.eventhash);
  EXPECT_EQ(w.take().events.size(), 2u);
  EXPECT_TRUE(w.empty());
  EXPECT_EQ(w.add(e, 3, false).event.seq, 3u);
}

} // namespace runledger::test
