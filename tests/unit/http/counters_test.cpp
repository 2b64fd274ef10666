// Goal: prove the buckets of the latency histogram and the form of the figures.

#include "http/counters.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

void nothing(route_context&, const request&, reply) {}

constexpr route table[] = {
    {verb::get, "/a", nothing, scope::read, body_kind::none, access::keyed, "reads"},
    {verb::post, "/a", nothing},
    {verb::get, "/b", nothing, scope::read, body_kind::none, access::keyed, "reads"},
};

TEST(Counters, PutLatenciesIntoBuckets) {
  histogram h;
  h.add(std::chrono::microseconds{250});
  h.add(std::chrono::microseconds{251});
  h.add(std::chrono::seconds{11});
  h.add(std::chrono::nanoseconds{-5});
  EXPECT_EQ(h.counts[0], 2u);
  EXPECT_EQ(h.counts[1], 1u);
  EXPECT_EQ(h.counts.back(), 1u);
  EXPECT_EQ(h.sum_us, 11'000'501u);
}

TEST(Counters, ShareHistogramsByGroup) {
  counters c{table};
  c.timed(&table[0], std::chrono::milliseconds{1});
  c.timed(&table[2], std::chrono::milliseconds{1});
  c.timed(&table[1], std::chrono::milliseconds{1});
  c.timed(nullptr, std::chrono::milliseconds{1});
  c.answered(&table[2], status::ok);
  c.answered(nullptr, status::not_found);
  std::string text;
  c.write_prometheus(text);
  auto has = [&](std::string_view line) { return text.find(line) != text.npos; };
  EXPECT_TRUE(has("runledger_http_request_seconds_bucket{group=\"reads\",le=\"0.001\"} 2\n"))
      << text;
  EXPECT_TRUE(has("runledger_http_request_seconds_bucket{group=\"reads\",le=\"+Inf\"} 2\n"));
  EXPECT_TRUE(has("runledger_http_request_seconds_sum{group=\"reads\"} 0.002\n"));
  EXPECT_TRUE(has("runledger_http_request_seconds_count{group=\"other\"} 1\n"));
  EXPECT_TRUE(has("runledger_http_requests_total{method=\"GET\",route=\"/b\",status=\"2xx\"} 1\n"));
  EXPECT_EQ(c.of_route(&table[2])[2], 1u);
  EXPECT_EQ(c.of_route(nullptr)[4], 1u);
}

} // namespace
} // namespace runledger::http
