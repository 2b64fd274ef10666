#include "cli/settings_values.hpp"

#include <gtest/gtest.h>

namespace runledger::cli {

namespace {

/// The number, or -1 where the text is refused.
template <class Read>
std::int64_t number(Read read) {
  return read ? *read : -1;
}

} // namespace

// Goal: sizes are powers of 1024 with the three units, and nothing else passes.
TEST(settings_values, sizes) {
  EXPECT_EQ(number(parse_size("8MiB")), 8 * 1024 * 1024);
  EXPECT_EQ(number(parse_size(" 16 KiB ")), 16 * 1024);
  EXPECT_EQ(number(parse_size("1GiB")), 1024 * 1024 * 1024);
  EXPECT_EQ(number(parse_size("4096")), 4096);
  for (const auto* bad : {"", "MiB", "8MB", "8mib", "-1KiB", "8 MiB x", "9000000000GiB", "1.5MiB"})
    EXPECT_EQ(number(parse_size(bad)), -1) << bad;
}

// Goal: a time needs its unit, so that 30 never silently means milliseconds.
TEST(settings_values, durations) {
  EXPECT_EQ(number(parse_duration("250ms")), 250);
  EXPECT_EQ(number(parse_duration("10s")), 10'000);
  EXPECT_EQ(number(parse_duration("5m")), 300'000);
  EXPECT_EQ(number(parse_duration("2h")), 7'200'000);
  EXPECT_EQ(number(parse_duration("7d")), 604'800'000);
  for (const auto* bad : {"", "30", "s", "10 sec", "-1s", "1.5s", "99999999999999999999s"})
    EXPECT_EQ(number(parse_duration(bad)), -1) << bad;
}

// Goal: money is exact to the micro-dollar and has no other form than a plain decimal.
TEST(settings_values, money) {
  EXPECT_EQ(number(parse_money("0.05")), 50'000);
  EXPECT_EQ(number(parse_money("3")), 3'000'000);
  EXPECT_EQ(number(parse_money("0.000001")), 1);
  EXPECT_EQ(number(parse_money("12.345678")), 12'345'678);
  for (const auto* bad : {"", ".5", "1.", "0.0000001", "-1", "1e3", "$1", "1,5", "9999999999999"})
    EXPECT_EQ(number(parse_money(bad)), -1) << bad;
}

// Goal: hosts of every kind, with a port that fits sixteen bits.
TEST(settings_values, endpoints) {
  EXPECT_EQ(*parse_endpoint("127.0.0.1:8080"), (endpoint{"127.0.0.1", 8080}));
  EXPECT_EQ(*parse_endpoint("[::1]:0"), (endpoint{"::1", 0}));
  EXPECT_EQ(*parse_endpoint("example.org:443"), (endpoint{"example.org", 443}));
  for (const auto* bad :
       {"", ":80", "host", "host:", "host:x", "host:65536", "::1:80", "[]:80", "[::1:80"})
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
}

// Goal: what is shown reads back as the same value.
TEST(settings_values, what_is_shown_reads_back) {
  for (const std::int64_t n :
       {1LL, 1000LL, 1024LL, 1536LL, 8LL << 20, 3LL << 30, 1500LL, 60'000LL, 86'400'000LL}) {
    EXPECT_EQ(number(parse_size(show_size(n))), n);
    EXPECT_EQ(number(parse_duration(show_duration(n))), n);
    EXPECT_EQ(number(parse_money(show_money(n))), n);
  }
  EXPECT_EQ(show_size(8 << 20), "8MiB");
  EXPECT_EQ(show_duration(90'000), "90s");
  EXPECT_EQ(show_money(50'000), "0.05");
  EXPECT_EQ(show_text("a\"b\\c\n"), R"("a\"b\\c\u000a")");
}

// Goal: the distance counts a swap as one slip, and a word that is far from all gets no suggestion.
TEST(settings_values, suggestions) {
  EXPECT_EQ(edit_distance("listen", "listen"), 0u);
  EXPECT_EQ(edit_distance("lisetn", "listen"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  const std::vector<std::string> keys{"listen", "http.body_limit", "http.head_limit"};
  EXPECT_EQ(nearest("http.body_limt", keys), "http.body_limit");
  EXPECT_EQ(nearest("body_limit", keys), "http.body_limit");
  EXPECT_EQ(nearest("lsten", keys), "listen");
  EXPECT_EQ(nearest("colour", keys), std::nullopt);
}

// Goal: replies are texts or tables of known members.
TEST(settings_values, replies) {
  const auto script =
      parse_replies(R"(["a", {"text": "b", "tool_calls": [{"x": 1}], "tokens_out": 7}])");
  ASSERT_TRUE(script);
  ASSERT_EQ(script->size(), 2u);
  EXPECT_EQ((*script)[0].text, "a");
  EXPECT_EQ((*script)[1].tool_calls, R"([{"x": 1}])");
  EXPECT_EQ((*script)[1].tokens_out, 7);
  for (const auto* bad :
       {"", "{}", "[1]", R"([{"txt": "a"}])", R"([{"tokens_in": -1}])", R"([{"text": 1}])"})
    EXPECT_FALSE(parse_replies(bad)) << bad;
}

} // namespace runledger::cli
