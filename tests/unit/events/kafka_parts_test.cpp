// Goal: the small parts of the Kafka ledger, each alone.

#include "events/log/kafka/append_book.hpp"
#include "events/log/kafka/limited_warnings.hpp"
#include "events/log/kafka/watch.hpp"
#include "events/log/replica_log.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

namespace runledger::test {
namespace {

using std::chrono::seconds;
using clock = std::chrono::steady_clock;

// Goal: a topic full of foreign records does not fill the log: ten lines a minute, and how many
// were left out.
TEST(kafka_parts, warnings_are_limited) {
  std::vector<std::string> said;
  kafka::limited_warnings warnings{[&](int, std::string_view line) { said.emplace_back(line); }};
  const auto start = clock::now();
  for (int i = 0; i < 1000; ++i)
    warnings.say("no event", start);
  EXPECT_EQ(said.size(), 10U);
  warnings.say("no event", start + seconds{61});
  ASSERT_EQ(said.size(), 12U);
  EXPECT_EQ(said[10], "990 more such warnings were left out");
}

// Goal: what was seen before and after an outage was not seen during it.
TEST(kafka_parts, time_without_an_answer_does_not_count) {
  kafka::seen_time missing;
  const auto start = clock::now();
  EXPECT_EQ(missing.seen(start), seconds{0}) << "whatever was before";
  EXPECT_EQ(missing.seen(start + seconds{1}), seconds{1});
  missing.unknown();
  EXPECT_EQ(missing.seen(start + seconds{100}), seconds{1});
  EXPECT_EQ(missing.seen(start + seconds{102}), seconds{3});
  missing.gone();
  EXPECT_EQ(missing.seen(start + seconds{103}), seconds{0});
}

/// A replica with a founded and claimed partition, fed by hand, and a book of appends on it.
class append_book_on_replica : public testing::Test {
protected:
  static constexpr const char* source = "kafka cluster C1 topics t.*";

  void SetUp() override {
    replica_options with;
    with.path = folder_ / "replica.db";
    with.source = source;
    with.names = names_;
    auto opened = replica::open(std::move(with));
    ASSERT_TRUE(opened) << opened.error();
    copy_ = *std::move(opened);
    book_ = std::make_unique<kafka::append_book>(*copy_, seconds{10}, 1000);
    stream_maker own{partition_stream(names_[0]).value, 0};
    own.attributes().type = full_type("partition.opened", 1);
    auto opened_event = own.peek();
    opened_event->event.data = R"({"partitions":1,"partitioner":"murmur2","ledger":"L"})";
    seal(opened_event->event);
    follow(own.head(), *opened_event);
    own.attributes().type = full_type("partition.claimed", 1);
    own.epoch(1);
    auto claim = own.peek();
    claim->event.data = R"({"epoch":1,"node":"n"})";
    seal(claim->event);
    ASSERT_EQ(read(opened_event), verdict::accepted);
    ASSERT_EQ(read(claim), verdict::accepted);
  }

  /// What the reading thread does with one record.
  verdict read(const std::shared_ptr<record>& event) {
    raw_record raw;
    raw.offset = next_++;
    raw.event = std::make_shared<record>(*event);
    raw.event->partition = 0;
    raw.event->offset = raw.offset;
    std::vector<raw_record> batch{raw};
    EXPECT_TRUE(copy_->judge(batch));
    EXPECT_TRUE(copy_->store(batch, {{0, {raw.offset + 1, raw.offset, sha256("x")}}}));
    copy_->publish(batch);
    auto v = batch.front().outcome;
    if ((v == verdict::stale_seq || v == verdict::duplicate) && book_->waits_for(*raw.event))
      v = copy_->compare_stored(*raw.event);
    kafka::append_book::finished told;
    book_->read_back(*raw.event, v, told);
    tell(told);
    return v;
  }
  static void tell(kafka::append_book::finished& told) {
    for (auto& each : told)
      each.done(std::move(each.results));
  }
  /// Takes one request; what it becomes stands in `into`.
  std::vector<kafka::append_book::outgoing> take(records events,
                                                 std::optional<append_result>& into) {
    kafka::append_book::finished told;
    auto out = book_->take(
        {append_request{std::move(events)}},
        [&into](std::vector<append_result> r) { into = r.front(); }, clock::now(), told);
    tell(told);
    return out;
  }

  temp_folder folder_;
  const std::vector<topic_partition> names_ = name_partitions({{"runs", 1}});
  std::unique_ptr<replica> copy_;
  std::unique_ptr<kafka::append_book> book_;
  std::int64_t next_ = 0;
};

// Goal: a write that another node's came before is rejected when it is read back, with the fold's
// verdict and as a whole; what the writer sends next is judged by what is in the topic.
TEST_F(append_book_on_replica, a_write_that_came_second_is_rejected) {
  stream_maker mine{session_name(1), 1};
  auto other = mine;
  std::optional<append_result> told, after;
  const auto sent = take({mine.next("1"), mine.next("2")}, told);
  ASSERT_EQ(sent.size(), 2U);
  const auto rival = other.next("9");
  EXPECT_EQ(read(rival), verdict::accepted);
  EXPECT_FALSE(told);
  EXPECT_EQ(read(sent[0].event), verdict::stale_seq);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->outcome, append_outcome::rejected);
  EXPECT_EQ(told->why, verdict::stale_seq);
  EXPECT_NE(told->detail.find(session_name(1) + ":1"), std::string::npos) << told->detail;
  read(sent[1].event); // Its second half changes nothing any more.
  EXPECT_EQ(book_->in_flight(), 0U);
  EXPECT_EQ(take({other.next("3")}, after).size(), 1U) << "it continues what is there";
  EXPECT_FALSE(after);
}

// Goal: a claim that came in between rejects what was written under the older epoch.
TEST_F(append_book_on_replica, a_write_behind_a_claim_is_rejected) {
  stream_maker mine{session_name(1), 1};
  std::optional<append_result> told;
  const auto sent = take({mine.next("1")}, told);
  stream_maker own{partition_stream(names_[0]).value, 2};
  own.head() = *copy_->known_head(partition_stream(names_[0]));
  own.attributes().type = full_type("partition.claimed", 1);
  auto claim = own.peek();
  claim->event.data = R"({"epoch":2,"node":"other"})";
  seal(claim->event);
  ASSERT_EQ(read(claim), verdict::accepted);
  EXPECT_EQ(read(sent[0].event), verdict::wrong_epoch);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->outcome, append_outcome::rejected);
  EXPECT_EQ(told->why, verdict::wrong_epoch);
}

// Goal: a node's replica is read as a ledger, beside whoever has it open, and says of what it is a
// copy; nothing can be appended to it.
TEST_F(append_book_on_replica, is_read_as_a_ledger) {
  stream_maker mine{session_name(1), 1};
  ASSERT_EQ(read(mine.next("1", true)), verdict::accepted);
  const auto facts = replica_facts_of(folder_ / "replica.db");
  ASSERT_TRUE(facts) << facts.error();
  EXPECT_EQ(facts->cluster, "C1");
  EXPECT_EQ(facts->prefix, "t");
  EXPECT_EQ(facts->read, std::vector<std::string>{"runs"});
  const auto log = replica_log::open(folder_ / "replica.db");
  ASSERT_TRUE(log) << log.error();
  EXPECT_EQ(read_all(**log).size(), 3U);
  EXPECT_EQ((*log)->partition_state(0).epoch, 1U);
  EXPECT_EQ((*log)->unfinished(0, {}, 10)->size(), 1U);
  EXPECT_EQ(append_one(**log, {mine.next("2")}).outcome, append_outcome::unavailable);
  ASSERT_EQ(read(mine.peek("3")), verdict::gap) << "the original goes on";
}

// Goal: what was read of other topics is no ledger.
TEST(kafka_parts, a_file_that_is_no_replica_is_refused) {
  temp_folder folder;
  EXPECT_FALSE(replica_log::open(folder / "nothing.db"));
}

} // namespace
} // namespace runledger::test
