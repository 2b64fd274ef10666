// Goal: what a group's coordinator says about its members is read, whatever the bytes.

#include "events/log/kafka/group.hpp"

#include <gtest/gtest.h>

#include <random>

namespace runledger::test {

namespace {

using kafka::raw_partition;
using kafka::read_assignment;

std::string be(std::uint32_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i)
    out += static_cast<char>(value >> (8 * i));
  return out;
}
std::string topic_bytes(const std::string& name, const std::vector<std::uint32_t>& partitions) {
  auto out = be(static_cast<std::uint32_t>(name.size()), 2) + name
             + be(static_cast<std::uint32_t>(partitions.size()), 4);
  for (auto p : partitions)
    out += be(p, 4);
  return out;
}

const std::string two_topics = be(0, 2) + be(2, 4) + topic_bytes("t.runs", {0, 2})
                               + topic_bytes("t.catalog", {1}) + be(0xFFFFFFFF, 4);

} // namespace

// Goal: partitions of several topics, with and without what stands behind them; nothing given.
TEST(kafka_group, reads_an_assignment) {
  const std::vector<raw_partition> expected{{"t.runs", 0}, {"t.runs", 2}, {"t.catalog", 1}};
  EXPECT_EQ(read_assignment(two_topics), expected);
  EXPECT_EQ(read_assignment(two_topics.substr(0, two_topics.size() - 4)), expected);
  auto newer = two_topics + "what later versions say";
  newer[1] = 3;
  EXPECT_EQ(read_assignment(newer), expected);
  EXPECT_EQ(read_assignment(""), std::vector<raw_partition>{});
  EXPECT_EQ(read_assignment(be(1, 2) + be(0, 4)), std::vector<raw_partition>{});
}

// Goal: bytes that end too early, or whose counts are lies, are none; nothing large is asked for.
TEST(kafka_group, refuses_what_is_no_assignment) {
  for (std::size_t n = 1; n + 4 < two_topics.size(); ++n)
    EXPECT_FALSE(read_assignment(two_topics.substr(0, n))) << n;
  EXPECT_FALSE(read_assignment(be(0xFFFF, 2) + be(0, 4))) << "a version below zero";
  EXPECT_FALSE(read_assignment(be(0, 2) + be(0x7FFFFFFF, 4) + topic_bytes("t", {1})));
  EXPECT_FALSE(read_assignment(be(0, 2) + be(0xFFFFFFFF, 4)));
  EXPECT_FALSE(read_assignment(be(0, 2) + be(1, 4) + be(0xFFFF, 2) + be(0, 4)));
  EXPECT_FALSE(read_assignment(be(0, 2) + be(1, 4) + be(1, 2) + "t" + be(0x10000000, 4)));
  EXPECT_FALSE(read_assignment(be(0, 2) + be(1, 4) + topic_bytes("t", {0x80000000})));
  std::mt19937 random{7};
  for (int i = 0; i < 20'000; ++i) {
    auto bytes = two_topics;
    for (int changes = 0; changes < 3; ++changes)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (const auto read = read_assignment(bytes)) {
      EXPECT_LE(read->size(), bytes.size() / 4);
    }
  }
}

} // namespace runledger::test
