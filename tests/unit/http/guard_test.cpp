// Goal: prove what the guard hands on of a clean head, that pieces make no difference to the scan,
// and that no damaged head passes with a length that another reader might see differently. The
// corpus of refusals runs over real sockets in tests/http/edge_framing_test.cpp.

#include "http/guard.hpp"

#include <gtest/gtest.h>

#include <random>

namespace runledger::http {
namespace {

constexpr std::string_view sample =
    "POST http://Toy:80/a/b?x=1&y HTTP/1.1\r\nhOST: toy:80\r\nAuthorization: Bearer k \r\n"
    "X-API-Key:\tz\r\nContent-Length: 12\r\nContent-Type: application/json\r\nRange: bytes=1-\r\n"
    "If-Range: \"r\"\r\nIf-None-Match: *\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";

TEST(Guard, GivesWhatTheHeadSays) {
  head got;
  ASSERT_FALSE(read_head(sample, 100, got));
  EXPECT_EQ(got.method, verb::post);
  EXPECT_EQ(got.path, "/a/b");
  EXPECT_EQ(got.query, "x=1&y");
  EXPECT_EQ(got.host, "toy:80");
  EXPECT_EQ(got.authorization, "Bearer k");
  EXPECT_EQ(got.api_key, "z");
  EXPECT_EQ(got.content_length, 12u);
  EXPECT_EQ(got.content_type, "application/json");
  EXPECT_EQ(got.range, "bytes=1-");
  EXPECT_EQ(got.if_range, "\"r\"");
  EXPECT_EQ(got.if_none_match, "*");
  EXPECT_TRUE(got.expects_continue);
  EXPECT_FALSE(got.keep_alive);
  EXPECT_FALSE(got.chunked);
  EXPECT_EQ(got.fields.size(), 10u);
}

TEST(Guard, ForgetsTheHeadBefore) {
  head got;
  ASSERT_FALSE(read_head(sample, 100, got));
  ASSERT_FALSE(read_head("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 100, got));
  EXPECT_FALSE(got.content_length);
  EXPECT_FALSE(got.expects_continue);
  EXPECT_TRUE(got.keep_alive);
  EXPECT_EQ(got.authorization.data(), nullptr);
  EXPECT_EQ(got.range.data(), nullptr);
  EXPECT_EQ(got.query, "");
  EXPECT_EQ(got.fields.size(), 1u);
}

TEST(Guard, FindsTheEndWhereverThePiecesEnd) {
  const std::string text = std::string{sample} + "the body\r\n\r\n";
  for (std::size_t first = 1; first < sample.size(); ++first) {
    head_scan scan;
    ASSERT_EQ(scan.look(std::string_view{text}.substr(0, first)), head_scan::outcome::incomplete);
    ASSERT_EQ(scan.look(text), head_scan::outcome::complete);
    ASSERT_EQ(scan.end(), sample.size());
  }
}

/// The rules of RFC 9112 for the length of a message, read naively: as a lenient parser elsewhere
/// might.
bool naive_reader_agrees(std::string_view text, const head& got) {
  std::size_t lengths = 0, encodings = 0;
  for (const auto& field : got.fields) {
    lengths += same_text(field.name, "content-length") ? 1 : 0;
    encodings += same_text(field.name, "transfer-encoding") ? 1 : 0;
  }
  return lengths == (got.content_length ? 1u : 0u) && encodings == (got.chunked ? 1u : 0u)
         && lengths + encodings <= 1 && text.find('\0') == text.npos
         && text.find("\r\r") == text.npos && text.find("\r\n ") == text.npos
         && text.find("\r\n\t") == text.npos;
}

TEST(Guard, DamagedHeadsNeverPassWithTwoReadings) {
  const char* set = std::getenv("TEST_SEED");
  const auto seed = set != nullptr ? std::strtoull(set, nullptr, 10) : 20240607ull;
  SCOPED_TRACE("TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random{seed};
  constexpr std::string_view pieces[] = {"\r\n",
                                         "\n",
                                         "\r",
                                         " ",
                                         "\t",
                                         ":",
                                         ",",
                                         std::string_view{"\0", 1},
                                         "Content-Length: 5\r\n",
                                         "Transfer-Encoding: chunked\r\n",
                                         "Transfer-Encoding: x\r\n",
                                         "Host: b\r\n",
                                         "0",
                                         "\xff",
                                         "#"};
  head got;
  int passed = 0;
  for (int round = 0; round < 100'000; ++round) {
    std::string text{sample};
    for (std::uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
      const auto piece = pieces[random() % std::size(pieces)];
      text.replace(random() % text.size(), random() % 2, piece);
    }
    head_scan scan;
    if (scan.look(text) != head_scan::outcome::complete)
      continue;
    const auto whole = std::string_view{text}.substr(0, scan.end());
    if (read_head(whole, 100, got))
      continue;
    ++passed;
    ASSERT_TRUE(naive_reader_agrees(whole, got)) << text;
  }
  EXPECT_GT(passed, 1000) << "the damage is so great that nothing was tested";
}

TEST(ChunkReader, TakesPiecesOfAnySize) {
  constexpr std::string_view text = "3\r\nabc\r\nA;x=\"y\"\r\n0123456789\r\n0\r\nT: u\r\n\r\nnext";
  for (std::size_t step = 1; step <= text.size(); ++step) {
    chunk_reader reader{13};
    std::string raw, body;
    auto outcome = chunk_reader::outcome::need_more;
    for (std::size_t at = 0; outcome == chunk_reader::outcome::need_more; at += step) {
      ASSERT_LT(at, text.size());
      raw += text.substr(at, step);
      std::size_t used = 0;
      outcome = reader.feed(raw, body, used);
      raw.erase(0, used);
    }
    ASSERT_EQ(outcome, chunk_reader::outcome::complete);
    EXPECT_EQ(body, "abc0123456789");
    EXPECT_TRUE(std::string_view{"next"}.starts_with(raw)) << raw;
  }
}

TEST(ChunkReader, CountsAllChunksAgainstTheLimit) {
  chunk_reader reader{12};
  std::string body;
  std::size_t used = 0;
  EXPECT_EQ(reader.feed("3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", body, used),
            chunk_reader::outcome::too_large);
}

} // namespace
} // namespace runledger::http
