#pragma once

#include "tests/support/log_writers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>

/// What the tests of log_conformance.hpp stand on.
namespace runledger::test {

template <class Ledger>
class log_conformance : public testing::Test {
protected:
  event_log& log() { return ledger_.log(); }

  /// Takes a partition; returns the epoch.
  std::uint64_t claim_one(std::uint32_t partition, std::string_view node = "node-1") {
    auto taken = take_partition(log(), partition, node, clock_, ids_);
    EXPECT_TRUE(taken.has_value()) << (taken ? "" : taken.error().detail);
    return taken ? taken->epoch : 0;
  }
  /// Takes all partitions; returns their epoch, which is the same in all.
  std::uint64_t claim(std::string_view node = "node-1") {
    auto epoch = claim_one(0, node);
    for (std::uint32_t p = 1; p < log().partition_count(); ++p)
      EXPECT_EQ(claim_one(p, node), epoch);
    return epoch;
  }
  /// The partition of a stream whose key it is itself.
  std::uint32_t home_of(const std::string& name) {
    return partition_of(stream_id{name}, name, log().partition_names()).value();
  }
  /// Where session_name(1) lives, and more sessions that live there.
  std::uint32_t home() { return home_of(session_name(1)); }
  std::vector<std::string> neighbours(std::size_t count) {
    std::vector<std::string> out;
    for (std::uint64_t n = 1; out.size() < count; ++n)
      if (home_of(session_name(n)) == home())
        out.push_back(session_name(n));
    return out;
  }
  /// Over all partitions.
  std::int64_t end() {
    std::int64_t sum = 0;
    for (std::uint32_t p = 0; p < log().partition_count(); ++p)
      sum += log().end_offset(p);
    return sum;
  }
  std::vector<unfinished_stream> unfinished() {
    std::vector<unfinished_stream> out;
    for (std::uint32_t p = 0; p < log().partition_count(); ++p)
      std::ranges::copy(*log().unfinished(p, {}, 100), std::back_inserter(out));
    return out;
  }

  void expect_refused(records events, verdict why) {
    auto end_before = end();
    auto answer = append_one(log(), std::move(events));
    EXPECT_EQ(answer.outcome, append_outcome::rejected);
    EXPECT_EQ(answer.why, why) << to_string(answer.why);
    EXPECT_FALSE(answer.detail.empty());
    EXPECT_EQ(end(), end_before);
  }
  void expect_accepted(records events) {
    auto answer = append_one(log(), std::move(events));
    EXPECT_EQ(answer.outcome, append_outcome::accepted) << answer.detail;
  }
  std::vector<record_ptr> stream(const std::string& name, std::uint64_t from = 1,
                                 std::size_t limit = 1000) {
    auto events = log().read_stream(stream_id{name}, from, limit);
    EXPECT_TRUE(events.has_value());
    return events ? *events : std::vector<record_ptr>{};
  }

  Ledger ledger_;
  fixed_clock clock_;
  counting_ids ids_;
};
TYPED_TEST_SUITE_P(log_conformance);

inline void expect_same(const record& stored, const record& written) {
  const auto& a = stored.event;
  const auto& b = written.event;
  EXPECT_EQ(a.stream, b.stream);
  EXPECT_EQ(a.seq, b.seq);
  EXPECT_EQ(a.type, b.type);
  EXPECT_EQ(a.workspace, b.workspace);
  EXPECT_EQ(a.partition_key, b.partition_key);
  EXPECT_EQ(a.time, b.time);
  EXPECT_EQ(a.causation_id, b.causation_id);
  EXPECT_EQ(a.correlation_id, b.correlation_id);
  EXPECT_EQ(a.principal, b.principal);
  EXPECT_EQ(a.traceparent, b.traceparent);
  EXPECT_EQ(a.data, b.data);
  EXPECT_EQ(a.datahash, b.datahash);
  EXPECT_EQ(a.prevhash, b.prevhash);
  EXPECT_EQ(a.eventhash, b.eventhash);
  EXPECT_EQ(stored.epoch, written.epoch);
  EXPECT_EQ(stored.open, written.open);
  EXPECT_EQ(stored.due_ms, written.due_ms);
  EXPECT_TRUE(stored.damage.empty()) << stored.damage;
}

} // namespace runledger::test
