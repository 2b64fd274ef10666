#include "tests/support/kafka_damage.hpp"

#include "events/log/kafka/client.hpp"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

namespace runledger::test {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds patience{20'000};

/// The partitions of a topic and their ends.
struct topic_extent {
  std::vector<kafka::raw_partition> partitions;
  std::vector<std::int64_t> ends;
};

std::optional<topic_extent> extent_of(const kafka::client& client, const std::string& topic) {
  const auto known = client.describe(patience);
  const auto* found = known ? known->find(topic) : nullptr;
  if (found == nullptr) {
    ADD_FAILURE() << topic << (known ? " is not there" : ": " + known.error().message);
    return {};
  }
  topic_extent out;
  for (const auto& each : found->partitions)
    out.partitions.push_back({topic, each.id});
  auto ends = client.ends(out.partitions, patience);
  if (!ends) {
    ADD_FAILURE() << topic << ": " << ends.error().message;
    return {};
  }
  out.ends = *std::move(ends);
  return out;
}

/// Reads up to the given end and hands on each record.
template <class Take>
void read_to(kafka::consumer& reader, const topic_extent& extent, Take&& take) {
  std::vector<kafka::consumer::place> places;
  for (const auto& each : extent.partitions)
    places.push_back({each, 0});
  ASSERT_TRUE(reader.assign(places));
  auto open = std::ranges::count_if(extent.ends, [](std::int64_t end) { return end > 0; });
  std::vector<kafka::header_view> headers;
  while (open > 0) {
    const auto got = reader.poll(patience);
    ASSERT_TRUE(got) << "nothing comes any more";
    if (got.is_end())
      continue;
    ASSERT_TRUE(got.is_record()) << got.why().message;
    const auto end = extent.ends[static_cast<std::size_t>(got.partition())];
    if (got.offset() < end)
      take(kafka::raw_partition{std::string{got.topic()}, got.partition()}, got.content(headers));
    if (got.offset() == end - 1)
      --open;
  }
}

} // namespace

std::size_t redeliver(const std::string& brokers, const std::string& topic) {
  auto reader = kafka::consumer::open({brokers});
  auto writer = kafka::producer::open(
      {brokers}, [](void*, bool, const kafka::error& why) { ADD_FAILURE() << why.message; });
  if (!reader || !writer) {
    ADD_FAILURE() << "no client for " << brokers;
    return 0;
  }
  const auto extent = extent_of(**reader, topic);
  std::size_t count = 0;
  if (extent)
    read_to(**reader, *extent, [&](const kafka::raw_partition& where, const auto& record) {
      EXPECT_TRUE((*writer)->send(where, record, nullptr));
      ++count;
    });
  EXPECT_TRUE((*writer)->flush(patience));
  return count;
}

void delete_records(const std::string& brokers, const std::string& topic, std::int64_t left) {
  auto opened = kafka::producer::open({brokers}, {});
  ASSERT_TRUE(opened);
  auto* client = (*opened)->raw();
  const auto extent = extent_of(**opened, topic);
  ASSERT_TRUE(extent);
  auto* before = rd_kafka_topic_partition_list_new(static_cast<int>(extent->ends.size()));
  for (std::size_t i = 0; i < extent->ends.size(); ++i)
    rd_kafka_topic_partition_list_add(before, topic.c_str(), extent->partitions[i].partition)
        ->offset = std::max<std::int64_t>(extent->ends[i] - left, 0);
  auto* wish = rd_kafka_DeleteRecords_new(before);
  auto* queue = rd_kafka_queue_new(client);
  rd_kafka_DeleteRecords(client, &wish, 1, nullptr, queue);
  auto* answer = rd_kafka_queue_poll(queue, static_cast<int>(patience.count()));
  EXPECT_NE(answer, nullptr) << "no answer";
  if (answer != nullptr) {
    EXPECT_EQ(rd_kafka_event_error(answer), RD_KAFKA_RESP_ERR_NO_ERROR)
        << rd_kafka_event_error_string(answer);
    const auto* result = rd_kafka_event_DeleteRecords_result(answer);
    const auto* done = result == nullptr ? nullptr : rd_kafka_DeleteRecords_result_offsets(result);
    for (int i = 0; done != nullptr && i < done->cnt; ++i)
      EXPECT_EQ(done->elems[i].err, RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(answer);
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_DeleteRecords_destroy(wish);
  rd_kafka_topic_partition_list_destroy(before);
}

} // namespace runledger::test
