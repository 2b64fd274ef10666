#include "events/log/kafka/topic_blob_store.hpp"
#include "tests/support/kafka_broker.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>

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
    with.put_timeout = std::chrono::milliseconds{2000};
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

  kafka_mock mock_;
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

} // namespace runledger::test
