#include "events/log/memory_log.hpp"

#include "tests/support/log_conformance.hpp"

namespace runledger::test {

struct memory_ledger {
  event_log& log() { return log_; }
  memory_log log_;
};
struct memory_ledger_of_three {
  event_log& log() { return log_; }
  memory_log log_{{{"ledger", 3}}};
};
struct memory_topics {
  event_log& log() { return log_; }
  memory_log log_{{{"runs", 3}, {"workers", 2}, {"workspaces", 1}, {"catalog", 2}}};
};
INSTANTIATE_TYPED_TEST_SUITE_P(memory, log_conformance, memory_ledger);
INSTANTIATE_TYPED_TEST_SUITE_P(memory_of_three, log_conformance, memory_ledger_of_three);
INSTANTIATE_TYPED_TEST_SUITE_P(memory_topics, log_conformance, memory_topics);

class memory_log_faults : public testing::Test {
protected:
  void SetUp() override {
    auto taken = take_partition(log_, 0, "node", clock_, ids_);
    ASSERT_TRUE(taken);
    epoch_ = taken->epoch;
  }
  /// Appends without waiting; the answer lands in `answers_`.
  void send(records events) {
    log_.append({append_request{std::move(events)}},
                [this](const auto& results) { answers_.push_back(results.front().outcome); });
  }
  std::size_t length(std::uint64_t n) {
    return log_.read_stream(stream_id{session_name(n)}, 1, 100)->size();
  }

  memory_log log_;
  fixed_clock clock_;
  counting_ids ids_;
  std::uint64_t epoch_ = 0;
  std::vector<append_outcome> answers_;
};

// Goal: what is held is neither durable nor answered until it is released, one by one or all.
TEST_F(memory_log_faults, holds_appends) {
  stream_maker a{session_name(1), epoch_};
  log_.hold_appends(true);
  send({a.next()});
  send({a.next()});
  send({a.next()});
  EXPECT_EQ(log_.held(), 3u);
  EXPECT_EQ(length(1), 0u);
  EXPECT_TRUE(answers_.empty());
  EXPECT_TRUE(log_.release_one());
  EXPECT_EQ(length(1), 1u);
  EXPECT_EQ(answers_.size(), 1u);
  log_.hold_appends(false);
  EXPECT_EQ(length(1), 3u);
  EXPECT_EQ(answers_, std::vector(3, append_outcome::accepted));
  EXPECT_FALSE(log_.release_one());
}

// Goal: held groups can be released in another order; the fold decides as they come.
TEST_F(memory_log_faults, reorders_held_appends) {
  stream_maker a{session_name(1), epoch_};
  log_.hold_appends(true);
  send({a.next()});
  send({a.next()});
  EXPECT_TRUE(log_.release_one(1));
  EXPECT_TRUE(log_.release_one(0));
  EXPECT_EQ(answers_, (std::vector{append_outcome::rejected, append_outcome::accepted}));
  EXPECT_EQ(length(1), 1u);
}

// Goal: each planned failure tells the writer what it says and writes what it says.
TEST_F(memory_log_faults, fails_as_planned) {
  stream_maker a{session_name(1), epoch_};
  log_.fail_next(1, append_fault::unavailable);
  log_.fail_next(1, append_fault::unknown_not_written);
  log_.fail_next(1, append_fault::unknown_but_written);
  auto first = a.next();
  send({first});
  EXPECT_EQ(length(1), 0u);
  send({first});
  EXPECT_EQ(length(1), 0u);
  send({first});
  EXPECT_EQ(length(1), 1u);
  send({first});
  EXPECT_EQ(answers_, (std::vector{append_outcome::unavailable, append_outcome::unknown,
                                   append_outcome::unknown, append_outcome::accepted}));
  EXPECT_EQ(length(1), 1u);
  log_.fail_for_good("planned");
  EXPECT_EQ(log_.failed(), "planned");
  send({a.next()});
  EXPECT_EQ(answers_.back(), append_outcome::unavailable);
}

// Goal: a group that arrives twice is kept twice and counted once.
TEST_F(memory_log_faults, duplicates_appends) {
  stream_maker a{session_name(1), epoch_};
  log_.duplicate_next(1);
  send({a.next(), a.next()});
  send({a.next()});
  EXPECT_EQ(length(1), 3u);
  EXPECT_EQ(log_.skipped(), 2u);
  EXPECT_EQ(log_.raw(0).size(), 2u + 5u);
  EXPECT_EQ(read_all(log_).size(), 2u + 3u);
  EXPECT_EQ(log_.end_offset(0), 7);
}

// Goal: what a writer sends that lost its claim stays in the partition, is skipped, and a fold over
// everything agrees with what readers got.
TEST_F(memory_log_faults, keeps_what_a_zombie_wrote) {
  stream_maker a{session_name(1), epoch_};
  send({a.next("1")});
  auto zombie = a;
  auto next = take_partition(log_, 0, "other", clock_, ids_);
  ASSERT_TRUE(next);
  auto verdicts = log_.inject({*zombie.next("2"), *zombie.next("3")});
  EXPECT_EQ(verdicts, (std::vector{verdict::wrong_epoch, verdict::wrong_epoch}));
  a.epoch(next->epoch);
  send({a.next("4")});
  EXPECT_EQ(length(1), 2u);
  EXPECT_EQ(log_.raw(0).size(), 7u);

  partition_head state;
  std::map<stream_id, stream_head> heads;
  std::vector<std::string> accepted, read;
  for (const auto& r : log_.raw(0)) {
    auto head = heads.find(r->event.stream);
    if (judge(state, head == heads.end() ? nullptr : &head->second, *r) != verdict::accepted)
      continue;
    advance(state, heads[r->event.stream], *r);
    accepted.push_back(r->event.id() + r->event.data);
  }
  for (const auto& r : read_all(log_))
    read.push_back(r->event.id() + r->event.data);
  EXPECT_EQ(accepted, read);
}

// Goal: a crash leaves a prefix of what was on its way, and answers nobody.
TEST_F(memory_log_faults, crashes_with_a_prefix) {
  stream_maker a{session_name(1), epoch_}, b{session_name(2), epoch_};
  log_.hold_appends(true);
  send({a.next("1"), a.next("2")});
  send({b.next("1"), b.next("2", true)});
  log_.crash(3);
  log_.hold_appends(false);
  EXPECT_TRUE(answers_.empty());
  EXPECT_EQ(length(1), 2u);
  EXPECT_EQ(length(2), 1u);
  EXPECT_TRUE(log_.unfinished(0, {}, 10)->empty());
}

// Goal: a changed event is never handed out as sound.
TEST_F(memory_log_faults, notices_damage) {
  stream_maker a{session_name(1), epoch_};
  send({a.next("1"), a.next("2"), a.next("3")});
  EXPECT_FALSE(log_.damage(stream_id{session_name(1)}, 4));
  ASSERT_TRUE(log_.damage(stream_id{session_name(1)}, 2));
  auto events = log_.read_stream(stream_id{session_name(1)}, 1, 100);
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().what, read_error::kind::corrupt);
  EXPECT_EQ(events.error().seq, 2u);
  EXPECT_EQ(events.error().stream.value, session_name(1));
  auto all = read_all(log_);
  ASSERT_EQ(all.size(), 5u);
  EXPECT_TRUE(all[2]->damage.empty());
  EXPECT_FALSE(all[3]->damage.empty());
}

// Goal: with several partitions a stream lives where the partitioner puts it, a partition's own
// stream in its partition.
TEST(memory_log_partitions, spread_the_streams) {
  memory_log log{{{"runs", 4}}};
  fixed_clock clock;
  counting_ids ids;
  for (std::uint32_t n = 0; n < 4; ++n) {
    auto taken = take_partition(log, n, "node", clock, ids);
    ASSERT_TRUE(taken) << taken.error().detail;
    EXPECT_EQ(log.end_offset(n), 2);
  }
  std::size_t used = 0;
  for (std::uint64_t i = 0; i < 40; ++i) {
    stream_maker s{session_name(i), 1};
    auto r = s.next();
    EXPECT_EQ(append_one(log, {r}).outcome, append_outcome::accepted);
    EXPECT_EQ(r->partition, partition_for(session_name(i), 4));
    used |= std::size_t{1} << r->partition;
  }
  EXPECT_EQ(used, 15u);
  EXPECT_EQ(append_one(log, {stream_maker{"ag_01", 1}.next()}).why, verdict::wrong_partition);
}

// Goal: what a writer puts into another partition than the stream's is skipped there, also behind
// events that were accepted in the right one.
TEST(memory_log_partitions, skip_what_stands_in_the_wrong_one) {
  memory_log log{{{"runs", 2}, {"catalog", 1}}};
  fixed_clock clock;
  counting_ids ids;
  for (std::uint32_t n = 0; n < 3; ++n)
    ASSERT_TRUE(take_partition(log, n, "node", clock, ids));
  stream_maker s{session_name(1), 1};
  const auto home = partition_for(session_name(1), 2);
  auto first = *s.next("1");
  EXPECT_EQ(log.inject({first}, 1 - home).front(), verdict::wrong_partition);
  EXPECT_EQ(log.inject({first}, 2).front(), verdict::wrong_partition);
  EXPECT_EQ(log.inject({first}).front(), verdict::accepted);
  auto second = *s.next("2");
  EXPECT_EQ(log.inject({second}, 1 - home).front(), verdict::wrong_partition);
  EXPECT_EQ(log.inject({second}, 2).front(), verdict::wrong_partition);
  EXPECT_EQ(log.inject({second}, home).front(), verdict::accepted);
  EXPECT_EQ(log.skipped(), 4u);
}

} // namespace runledger::test
