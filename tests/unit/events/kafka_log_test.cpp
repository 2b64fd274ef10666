#include "events/log/kafka/topics.hpp"
#include "events/log/kafka_record.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/kafka_ledger.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/server_process.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <future>

namespace runledger::test {

namespace {

using std::chrono::milliseconds;

const std::vector<topic_size> one_topic{{"runs", 1}};
void create(kafka_mock& mock, const std::string& prefix, const std::vector<topic_size>& topics) {
  for (const auto& t : topics)
    EXPECT_EQ(mock.create_topic(prefix + '.' + t.topic, static_cast<int>(t.partitions)), "");
}

} // namespace

class kafka_log_on_mock : public testing::Test {
protected:
  void SetUp() override {
    create(mock_, "t", one_topic);
    open();
    auto taken = take_partition(*log_, 0, "node", clock_, ids_);
    ASSERT_TRUE(taken) << taken.error().detail;
    epoch_ = taken->epoch;
  }
  kafka_log_options options() {
    return mock_options(mock_.address(), "t", one_topic, folder_.path(), &said_);
  }
  void open() { log_ = open_kafka(options()); }

  /// Appends one request; the future has its result.
  std::future<append_result> start(records events) {
    auto told = std::make_shared<std::promise<append_result>>();
    log_->append({append_request{std::move(events)}},
                 [told](const auto& results) { told->set_value(results.front()); });
    return told->get_future();
  }
  void push_errors(std::int16_t api, rd_kafka_resp_err_t code, int times = 1) {
    for (int i = 0; i < times; ++i)
      rd_kafka_mock_push_request_errors(mock_.handle(), api, 1, code);
  }
  /// What another node's producer writes: no judgement before.
  void write_raw(const std::vector<std::shared_ptr<record>>& events) {
    auto other = kafka::producer::open({mock_.address()}, {});
    ASSERT_TRUE(other);
    kafka::record_writer writer;
    for (const auto& e : events)
      ASSERT_TRUE((*other)->send({"t.runs", 0}, writer.write(*e), nullptr));
    ASSERT_TRUE((*other)->flush(std::chrono::seconds{10}));
  }

  static constexpr std::int16_t produce = 0, fetch = 1;
  kafka_mock mock_;
  temp_folder folder_;
  said_lines said_;
  std::unique_ptr<kafka_log> log_;
  fixed_clock clock_;
  counting_ids ids_;
  std::uint64_t epoch_ = 0;
};

// Goal: what a broker answers with a passing error is written all the same, once.
TEST_F(kafka_log_on_mock, writes_through_passing_errors) {
  stream_maker a{session_name(1), epoch_};
  push_errors(produce, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
  push_errors(produce, RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS);
  EXPECT_EQ(append_one(*log_, {a.next("1"), a.next("2")}).outcome, append_outcome::accepted);
  EXPECT_EQ(log_->read_stream(stream_id{session_name(1)}, 1, 10)->size(), 2u);
  EXPECT_EQ(log_->figures().records[0], 4u);
}

// Goal: a batch that the broker refuses for good is reported as not written, and the log goes on.
TEST_F(kafka_log_on_mock, tells_what_was_not_written) {
  stream_maker a{session_name(1), epoch_};
  push_errors(produce, RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED);
  auto refused = append_one(*log_, {a.peek("1")});
  EXPECT_EQ(refused.outcome, append_outcome::unavailable);
  EXPECT_NE(refused.detail.find("TOPIC_AUTHORIZATION_FAILED"), std::string::npos) << refused.detail;
  EXPECT_TRUE(eventually(
      [&] { return append_one(*log_, {a.peek("1")}).outcome == append_outcome::accepted; }));
}

// Goal: a producer that failed for good is replaced after everything was read, and writes go on.
TEST_F(kafka_log_on_mock, replaces_a_fatal_producer) {
  stream_maker a{session_name(1), epoch_};
  EXPECT_EQ(append_one(*log_, {a.next("1")}).outcome, append_outcome::accepted);
  push_errors(produce, RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_NE(append_one(*log_, {a.peek("2")}).outcome, append_outcome::accepted);
  EXPECT_TRUE(eventually([&] { return log_->figures().producers == 2; }));
  EXPECT_TRUE(eventually(
      [&] { return append_one(*log_, {a.peek("2")}).outcome == append_outcome::accepted; }));
  EXPECT_EQ(log_->read_stream(stream_id{session_name(1)}, 1, 10)->size(), 2u);
}

// Goal: with the brokers away what was given to the producer is unknown by our own clock, later
// appends are refused before anything is written, reads go on; and when they are back, so is all.
TEST_F(kafka_log_on_mock, lives_without_brokers) {
  log_.reset();
  auto with = options();
  with.session_timeout = milliseconds{1200};
  with.append_timeout = milliseconds{900};
  log_ = open_kafka(with);
  stream_maker a{session_name(1), epoch_}, b{session_name(2), epoch_};
  EXPECT_EQ(append_one(*log_, {a.next("1")}).outcome, append_outcome::accepted);
  rd_kafka_mock_broker_set_down(mock_.handle(), 1);
  auto late = a.next("2");
  EXPECT_EQ(append_one(*log_, {late}).outcome, append_outcome::unknown);
  EXPECT_TRUE(eventually([&] { return log_->is_stale(); }));
  const auto refused = append_one(*log_, {b.peek("1")});
  EXPECT_EQ(refused.outcome, append_outcome::unavailable);
  EXPECT_NE(refused.detail.find("no Kafka broker has answered"), std::string::npos);
  EXPECT_EQ(log_->read_stream(stream_id{session_name(1)}, 1, 10)->size(), 1u);
  rd_kafka_mock_broker_set_up(mock_.handle(), 1);
  EXPECT_TRUE(eventually([&] { return !log_->is_stale(); }));
  EXPECT_TRUE(eventually(
      [&] { return log_->read_stream(stream_id{session_name(1)}, 1, 10)->size() == 2; }));
  EXPECT_EQ(append_one(*log_, {std::make_shared<record>(*late)}).outcome, append_outcome::accepted);
  EXPECT_EQ(append_one(*log_, {b.next("1")}).outcome, append_outcome::accepted);
}

// Goal: what another process wrote in between is found when it is read back: first valid event
// wins, its rival is rejected with the fold's verdict, and is counted.
TEST_F(kafka_log_on_mock, rejects_what_came_second) {
  stream_maker mine{session_name(1), epoch_};
  auto others = mine;
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 300);
  auto answer = start({mine.next("1"), mine.next("2")});
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 0);
  answer.wait();
  EXPECT_EQ(answer.get().outcome, append_outcome::accepted);
  write_raw({others.next("9")});
  EXPECT_TRUE(eventually(
      [&] { return log_->figures().records[static_cast<std::size_t>(verdict::stale_seq)] == 1; }));
  EXPECT_EQ(log_->read_stream(stream_id{session_name(1)}, 1, 10)->size(), 2u);
}

// Goal: a zombie's records, repeated ones and such that are no events are skipped and counted.
TEST_F(kafka_log_on_mock, skips_what_the_fold_refuses) {
  stream_maker a{session_name(1), epoch_}, zombie{session_name(2), epoch_ - 1};
  auto good = a.next("1");
  write_raw({good, zombie.next("1"), good, a.next("2")});
  EXPECT_TRUE(eventually(
      [&] { return log_->read_stream(stream_id{session_name(1)}, 1, 10)->size() == 2; }));
  const auto count = log_->figures().records;
  EXPECT_EQ(count[static_cast<std::size_t>(verdict::wrong_epoch)], 1u);
  EXPECT_EQ(count[static_cast<std::size_t>(verdict::duplicate)], 1u);
  EXPECT_TRUE(log_->read_stream(stream_id{session_name(2)}, 1, 10)->empty());
  // The writer that made it may send it again, and its neighbour may not.
  EXPECT_EQ(append_one(*log_, {std::make_shared<record>(*good)}).outcome, append_outcome::accepted);
}

// Goal: a replica that is there is read on, and gives the same as one that is read anew.
TEST_F(kafka_log_on_mock, goes_on_with_its_replica) {
  stream_maker a{session_name(1), epoch_}, b{session_name(2), epoch_};
  EXPECT_EQ(append_one(*log_, {a.next("1", true, 5)}).outcome, append_outcome::accepted);
  log_.reset();
  write_raw({a.next("2", true, 6), b.next("1")});
  open();
  EXPECT_FALSE(log_->made_anew()) << *log_->made_anew();
  EXPECT_LE(log_->figures().records[0], 2u); // What was there was not read again.
  temp_folder other;
  auto anew = open_kafka(mock_options(mock_.address(), "t", one_topic, other.path()));
  const auto mine = read_all(*log_), theirs = read_all(*anew);
  ASSERT_EQ(mine.size(), 5u);
  ASSERT_EQ(theirs.size(), 5u);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    EXPECT_EQ(mine[i]->offset, theirs[i]->offset);
    EXPECT_EQ(mine[i]->event.eventhash, theirs[i]->event.eventhash);
    EXPECT_EQ(mine[i]->epoch, theirs[i]->epoch);
    EXPECT_EQ(mine[i]->due_ms, theirs[i]->due_ms);
    EXPECT_TRUE(hashes_match(mine[i]->event));
  }
  EXPECT_EQ(log_->partition_state(0).epoch, epoch_);
  ASSERT_EQ(log_->unfinished(0, {}, 10)->size(), 1u);
  EXPECT_EQ(log_->unfinished(0, {}, 10)->front().due_ms, 6);
  EXPECT_EQ(append_one(*log_, {a.next("3")}).outcome, append_outcome::accepted);
}

// Goal: a replica of another cluster is read anew, and the operator is told.
TEST_F(kafka_log_on_mock, reads_anew_what_is_of_another_cluster) {
  stream_maker a{session_name(1), epoch_};
  EXPECT_EQ(append_one(*log_, {a.next("1")}).outcome, append_outcome::accepted);
  log_.reset();
  kafka_mock other;
  create(other, "t", one_topic);
  log_ = open_kafka(mock_options(other.address(), "t", one_topic, folder_.path(), &said_));
  ASSERT_TRUE(log_->made_anew());
  EXPECT_TRUE(said_.has("is read anew"));
  EXPECT_TRUE(read_all(*log_).empty());
}

// Goal: barriers that wait share one question to the brokers, and are reached when this node has
// read what was there; without brokers they end.
TEST_F(kafka_log_on_mock, shares_barriers) {
  stream_maker a{session_name(1), epoch_};
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 100);
  const auto before = log_->figures().barriers;
  std::vector<std::future<bool>> answers;
  for (int i = 0; i < 20; ++i) {
    auto told = std::make_shared<std::promise<bool>>();
    answers.push_back(told->get_future());
    log_->barrier([told](bool reached) { told->set_value(reached); });
  }
  for (auto& each : answers)
    EXPECT_TRUE(each.get());
  EXPECT_LE(log_->figures().barriers - before, 3u);
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 0);
  write_raw({a.next("1")});
  std::promise<bool> told;
  log_->barrier([&](bool reached) { told.set_value(reached); });
  EXPECT_TRUE(told.get_future().get());
  EXPECT_EQ(log_->read_stream(stream_id{session_name(1)}, 1, 10)->size(), 1u);
}

// Goal: a barrier ends in time although what is to be read does not come.
TEST_F(kafka_log_on_mock, barriers_end_in_time) {
  log_.reset();
  auto with = options();
  with.append_timeout = milliseconds{300};
  log_ = open_kafka(with);
  stream_maker a{session_name(1), epoch_};
  for (int i = 0; i < 100; ++i) // Fetches fail, questions for the ends do not.
    push_errors(fetch, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION);
  write_raw({a.next("1")});
  std::promise<bool> told;
  auto answer = told.get_future();
  log_->barrier([&](bool reached) { told.set_value(reached); });
  ASSERT_EQ(answer.wait_for(std::chrono::seconds{3}), std::future_status::ready);
  EXPECT_FALSE(answer.get());
}

// Goal: in structured mode a record is one JSON object, with the payload's bytes as they are, and
// is read by everybody.
TEST_F(kafka_log_on_mock, writes_structured_events) {
  log_.reset();
  auto with = options();
  with.mode = kafka::content_mode::structured;
  log_ = open_kafka(with);
  stream_maker a{session_name(1), epoch_};
  const auto event = a.next("1.50");
  EXPECT_EQ(append_one(*log_, {event}).outcome, append_outcome::accepted);
  auto reader = kafka::consumer::open({mock_.address()});
  ASSERT_TRUE(reader);
  ASSERT_TRUE((*reader)->assign({{{"t.runs", 0}, 0}}));
  std::string last;
  std::vector<kafka::header_view> headers;
  for (auto m = (*reader)->poll(std::chrono::seconds{5}); m && !m.is_end();
       m = (*reader)->poll(std::chrono::seconds{5}))
    if (m.is_record())
      last = m.content(headers).value.value_or("");
  EXPECT_TRUE(last.ends_with(R"(,"data":{"n":1.50}})")) << last;
  temp_folder other;
  auto anew = open_kafka(mock_options(mock_.address(), "t", one_topic, other.path()));
  EXPECT_EQ(anew->read_stream(stream_id{session_name(1)}, 1, 10)->front()->event.eventhash,
            event->event.eventhash);
}

// Goal: a topic of which this node has read records is never made anew in the same cluster.
TEST(kafka_log_start, a_deleted_topic_is_not_made_again) {
  kafka_mock mock;
  auto asker = kafka::consumer::open({mock.address()});
  ASSERT_TRUE(asker);
  const auto cluster = (*asker)->cluster_id(std::chrono::seconds{10});
  ASSERT_TRUE(cluster);
  kafka::topic_wishes wishes;
  wishes.prefix = "t";
  wishes.known = {"runs", "blobs"};
  wishes.known_cluster = *cluster;
  const auto refused = kafka::prepare_topics({mock.address()}, wishes);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().starts_with("of t.runs, t.blobs this node has read records"))
      << refused.error();
  wishes.known_cluster = "another";
  const auto made = kafka::prepare_topics({mock.address()}, wishes, milliseconds{500});
  ASSERT_FALSE(made) << "the mock cannot make topics";
  EXPECT_EQ(made.error().find("this node has read"), std::string::npos) << made.error();
}

// Goal: a cluster that is not there is said at the start, in a sentence.
TEST(kafka_log_start, says_that_no_broker_answers) {
  temp_folder folder;
  auto with = kafka_options("127.0.0.1:1", "t", one_topic, folder.path());
  with.patience = milliseconds{500};
  const auto opened = kafka_log::open(with);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find("no Kafka broker answers at 127.0.0.1:1"), std::string::npos);
}

// Goal: a property that the ledger's promises rest on is not handed through.
TEST(kafka_log_start, keeps_what_its_promises_rest_on) {
  EXPECT_TRUE(kafka::forbidden_property("acks"));
  EXPECT_TRUE(kafka::forbidden_property("message.timeout.ms"));
  EXPECT_TRUE(kafka::forbidden_property("check.crcs"));
  EXPECT_TRUE(kafka::forbidden_property("allow.auto.create.topics"));
  EXPECT_FALSE(kafka::forbidden_property("sasl.password"));
}

} // namespace runledger::test
