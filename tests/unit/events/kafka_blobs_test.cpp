#include "events/log/file_blob_store.hpp"
#include "events/log/kafka/topic_blob_store.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>

namespace runledger::test {

class blob_topic : public testing::Test {
protected:
  void SetUp() override { ASSERT_EQ(mock_.create_topic("t.blobs", 3), ""); }
  std::unique_ptr<kafka::topic_blob_store> open(const temp_folder& in) {
    kafka::blob_topic_options with;
    with.with.brokers = mock_.address();
    with.with.properties["fetch.wait.max.ms"] = "5";
    with.topic = "t.blobs";
    with.partitions = 3;
    with.folder = in / "blobs";
    with.put_patience = with.put_timeout = std::chrono::milliseconds{2000};
    with.get_patience = std::chrono::milliseconds{1000};
    change(with);
    auto opened = kafka::topic_blob_store::open(std::move(with));
    EXPECT_TRUE(opened.has_value()) << (opened ? "" : opened.error());
    return opened ? *std::move(opened) : nullptr;
  }
  static std::string content(std::size_t size, char first = 'a') {
    std::string out(size, first);
    for (std::size_t i = 0; i < size; ++i)
      out[i] = static_cast<char>('a' + (i * 7 + i / 1000 + static_cast<unsigned char>(first)) % 26);
    return out;
  }

  /// How long a call takes.
  template <class Call>
  static std::chrono::milliseconds time_of(Call call) {
    const auto start = std::chrono::steady_clock::now();
    (void)call();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now()
                                                                 - start);
  }

  kafka_mock mock_;
  std::function<void(kafka::blob_topic_options&)> change = [](auto&) {};
};

// Goal: what one node puts, in one chunk, in several or in none, every other one gets.
TEST_F(blob_topic, carries_blobs_between_nodes) {
  temp_folder here, there;
  auto mine = open(here), other = open(there);
  for (const std::size_t size : {0u, 1u, 512u * 1024, 512u * 1024 + 1, 1'700'000u}) {
    const auto text = content(size, 'b');
    const auto blob = mine->put(text);
    ASSERT_TRUE(blob) << size;
    EXPECT_EQ(blob->size, size);
    const auto got = other->get(blob->id);
    ASSERT_TRUE(got) << size;
    EXPECT_TRUE(*got == text);
    EXPECT_TRUE(mine->path_of(blob->id));
    EXPECT_TRUE(other->path_of(blob->id));
  }
}

// Goal: a file is taken from where it stands, and not beyond the limit.
TEST_F(blob_topic, takes_files) {
  temp_folder here, there;
  auto mine = open(here);
  const auto text = content(1'300'000);
  auto* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
  ::lseek(fileno(file), 10, SEEK_SET);
  EXPECT_EQ(mine->put_file(fileno(file), 1000).error(), blob_errc::damaged);
  ::lseek(fileno(file), 10, SEEK_SET);
  const auto blob = mine->put_file(fileno(file), 2'000'000);
  std::fclose(file);
  ASSERT_TRUE(blob);
  EXPECT_TRUE(*open(there)->get(blob->id) == text.substr(10));
}

// Goal: a node that comes later, or again, has what was put while it was away.
TEST_F(blob_topic, gives_what_was_put_before) {
  temp_folder here, there;
  const auto first = content(1000), second = content(600'000, 'c');
  digest ids[2];
  {
    auto mine = open(here);
    ids[0] = mine->put(first)->id;
    auto other = open(there);
    EXPECT_TRUE(*other->get(ids[0]) == first);
    other.reset();
    ids[1] = mine->put(second)->id;
  }
  auto other = open(there);
  EXPECT_TRUE(*other->get(ids[0]) == first);
  EXPECT_TRUE(*other->get(ids[1]) == second);
  EXPECT_EQ(other->get(sha256("nobody")).error(), blob_errc::missing);
}

// Goal: without brokers a put is refused in time and nothing counts as stored; afterwards it works.
TEST_F(blob_topic, refuses_without_brokers) {
  temp_folder here;
  auto mine = open(here);
  ASSERT_TRUE(mine->put("warm"));
  rd_kafka_mock_broker_set_down(mock_.handle(), 1);
  const auto refused = mine->put("cold");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), blob_errc::unavailable);
  EXPECT_FALSE(mine->path_of(sha256("cold")));
  rd_kafka_mock_broker_set_up(mock_.handle(), 1);
  EXPECT_TRUE(eventually([&] { return mine->put("cold").has_value(); }));
}

// Goal: a producer that failed for good is replaced, and what it had under way is stored by the
// next.
TEST_F(blob_topic, outlives_a_fatal_producer) {
  constexpr std::int16_t produce = 0;
  temp_folder here, there;
  auto mine = open(here);
  ASSERT_TRUE(mine->put("warm"));
  rd_kafka_mock_push_request_errors(mock_.handle(), produce, 1,
                                    RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
  EXPECT_TRUE(eventually([&] { return mine->put("after").has_value(); }));
  EXPECT_EQ(*open(there)->get(sha256("after")), "after");
}

// Goal: a blob that takes longer than anybody waits is stored as long as something is acknowledged.
TEST_F(blob_topic, stores_what_takes_long) {
  change = [](auto& with) { with.put_timeout = std::chrono::milliseconds{50}; };
  temp_folder here;
  auto mine = open(here);
  auto* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const auto text = content(40 * 512 * 1024); // More than may be in flight.
  std::fwrite(text.data(), 1, text.size(), file);
  std::fflush(file);
  ::lseek(fileno(file), 0, SEEK_SET);
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 150);
  const auto stored = mine->put_file(fileno(file), text.size());
  std::fclose(file);
  EXPECT_TRUE(stored);
  // In memory nobody waits for so long, but it goes on: asked again, it is there.
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 3000);
  EXPECT_FALSE(mine->put("slow"));
  rd_kafka_mock_broker_set_rtt(mock_.handle(), 1, 0);
  EXPECT_TRUE(eventually([&] { return mine->put("slow").has_value(); }));
}

// Goal: while no broker answers only the first calls wait; afterwards everything is as before.
TEST_F(blob_topic, blocks_nobody_for_long_without_brokers) {
  change = [](auto& with) { with.put_patience = std::chrono::milliseconds{400}; };
  temp_folder here;
  auto mine = open(here);
  ASSERT_TRUE(mine->put("warm"));
  rd_kafka_mock_broker_set_down(mock_.handle(), 1);
  EXPECT_FALSE(mine->put("cold"));
  EXPECT_EQ(mine->get(sha256("nobody")).error(), blob_errc::unavailable);
  const auto again = time_of([&] {
    for (int i = 0; i < 20; ++i) {
      EXPECT_FALSE(mine->put("cold " + std::to_string(i)));
      EXPECT_EQ(mine->get(sha256("nobody")).error(), blob_errc::unavailable);
    }
    return 0;
  });
  EXPECT_LT(again, std::chrono::seconds{4}) << "forty calls, none of which waits";
  rd_kafka_mock_broker_set_up(mock_.handle(), 1);
  EXPECT_TRUE(eventually([&] { return mine->put("cold").has_value(); }));
  EXPECT_TRUE(eventually([&] { return mine->get(sha256("cold 3")).has_value(); }))
      << "what was asked for in the meantime was sent";
  EXPECT_TRUE(
      eventually([&] { return mine->get(sha256("nobody")).error() == blob_errc::missing; }));
}

// Goal: what a folder held before, or read elsewhere, is not taken for acknowledged, and is kept.
TEST_F(blob_topic, trusts_its_own_folder_only) {
  temp_folder here, there;
  ASSERT_TRUE((*file_blob_store::open(here / "blobs"))->put("older"));
  auto mine = open(here);
  EXPECT_EQ(mine->get(sha256("older")).error(), blob_errc::missing);
  EXPECT_TRUE(std::filesystem::exists(here / "blobs.before-1"));
  ASSERT_TRUE(mine->put("older"));
  EXPECT_EQ(*open(there)->get(sha256("older")), "older");
  mine.reset();
  const auto read = kafka::topic_blob_store::source_of(here / "blobs");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->topic, "t.blobs");
  EXPECT_TRUE(open(here)->path_of(sha256("older")));
}

} // namespace runledger::test
