// Goal: prove over a real socket that every framing rule holds, that the connection is closed after
// a framing error, and that what is legal passes.

#include "tests/http/edge_fixture.hpp"

namespace edge_test {
namespace {

/// One request of raw bytes, and the one answer that is right.
struct corpus_row {
  const char* name;
  std::string_view bytes;
  int status;
  bool stays_open; // After the answer the connection serves another request.

  friend std::ostream& operator<<(std::ostream& out, const corpus_row& row) {
    return out << row.name;
  }
};

using namespace std::string_view_literals;

#define KEY "X-API-Key: writer\r\n"
#define HOST "Host: toy\r\n"

constexpr corpus_row corpus[] = {
    // What is legal.
    {"plain_get", "GET /open HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"http_1_0_closes", "GET /open HTTP/1.0\r\n\r\n", 200, false},
    {"http_1_0_keep_alive", "GET /open HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 200, true},
    {"connection_close", "GET /open HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n", 200, false},
    {"one_empty_line_before", "\r\nGET /open HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"absolute_form", "GET http://toy/open HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"absolute_form_other_case", "GET HTTP://TOY/open?a=1 HTTP/1.1\r\n" HOST "\r\n", 200, true},
    {"host_with_port", "GET /open HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n", 200, true},
    {"host_ipv6", "GET /open HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 200, true},
    {"empty_value", "GET /open HTTP/1.1\r\n" HOST "X-Test:\r\n\r\n", 200, true},
    {"obs_text_value", "GET /open HTTP/1.1\r\n" HOST "X-Other: caf\xe9\r\n\r\n", 200, true},
    {"length_zero", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 0\r\n\r\n", 200, true},
    {"chunked",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
     200, true},
    {"chunk_extension",
     "POST /echo HTTP/1.1\r\n" HOST KEY
     "Transfer-Encoding: chunked\r\n\r\n2;a=b\r\n{}\r\n0\r\n\r\n",
     200, true},
    {"get_with_body", "GET /open HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 200, true},
    {"options_star", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 404, true},
    // Request line.
    {"lower_case_method", "get /open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"mixed_case_method", "Get /open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"connect", "CONNECT toy:80 HTTP/1.1\r\n" HOST "\r\n", 501, false},
    {"trace", "TRACE /open HTTP/1.1\r\n" HOST "\r\n", 501, false},
    {"unknown_method", "BREW /open HTTP/1.1\r\n" HOST "\r\n", 501, false},
    {"method_no_token", "G(T /open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"no_method", " /open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"two_empty_lines_before", "\r\n\r\nGET /open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"two_spaces", "GET  /open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"space_at_end", "GET /open HTTP/1.1 \r\n" HOST "\r\n", 400, false},
    {"tab_as_space", "GET\t/open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"space_in_target", "GET /op en HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"no_version", "GET /open\r\n" HOST "\r\n", 400, false},
    {"http_0_9", "GET /open HTTP/0.9\r\n" HOST "\r\n", 505, false},
    {"http_2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 501, false},
    {"http_1_2", "GET /open HTTP/1.2\r\n" HOST "\r\n", 505, false},
    {"lower_case_version", "GET /open http/1.1\r\n" HOST "\r\n", 400, false},
    {"long_version", "GET /open HTTP/1.10\r\n" HOST "\r\n", 400, false},
    {"fragment", "GET /open#part HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"raw_non_ascii", "GET /op\xc3\xa9n HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"control_in_target", "GET /op\x01n HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"delete_in_target", "GET /op\x7fn HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"relative_target", "GET open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"star_without_options", "GET * HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"other_scheme", "GET ftp://toy/open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"absolute_form_differs", "GET http://other/open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"absolute_form_other_port", "GET http://toy:81/open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"absolute_form_user", "GET http://me@toy/open HTTP/1.1\r\n" HOST "\r\n", 400, false},
    {"absolute_form_without_host", "GET http://toy/open HTTP/1.0\r\n\r\n", 400, false},
    // Lines.
    {"bare_lf", "GET /open HTTP/1.1\nHost: toy\n\n", 400, false},
    {"one_bare_lf", "GET /open HTTP/1.1\r\nHost: toy\nX-A: b\r\n\r\n", 400, false},
    {"bare_cr", "GET /open HTTP/1.1\r\nHost: toy\rX-A: b\r\n\r\n", 400, false},
    {"cr_cr_lf", "GET /open HTTP/1.1\r\nHost: toy\r\r\n\r\n", 400, false},
    {"nul_in_value", "GET /open HTTP/1.1\r\n" HOST "X-A: a\0b\r\n\r\n"sv, 400, false},
    {"nul_in_name", "GET /open HTTP/1.1\r\n" HOST "X\0A: b\r\n\r\n"sv, 400, false},
    {"control_in_value", "GET /open HTTP/1.1\r\n" HOST "X-A: a\x1b[0m\r\n\r\n", 400, false},
    {"tls_hello", "\x16\x03\x01\x02"sv, 400, false},
    // Header fields.
    {"space_before_colon", "GET /open HTTP/1.1\r\n" HOST "X-A : b\r\n\r\n", 400, false},
    {"space_in_name", "GET /open HTTP/1.1\r\n" HOST "X A: b\r\n\r\n", 400, false},
    {"no_colon", "GET /open HTTP/1.1\r\n" HOST "X-A\r\n\r\n", 400, false},
    {"no_name", "GET /open HTTP/1.1\r\n" HOST ": b\r\n\r\n", 400, false},
    {"folded", "GET /open HTTP/1.1\r\n" HOST "X-A: b\r\n c\r\n\r\n", 400, false},
    {"folded_by_tab", "GET /open HTTP/1.1\r\n" HOST "X-A: b\r\n\tc\r\n\r\n", 400, false},
    {"first_line_folded", "GET /open HTTP/1.1\r\n Host: toy\r\n\r\n", 400, false},
    {"no_host", "GET /open HTTP/1.1\r\n\r\n", 400, false},
    {"two_hosts", "GET /open HTTP/1.1\r\n" HOST HOST "\r\n", 400, false},
    {"empty_host", "GET /open HTTP/1.1\r\nHost:\r\n\r\n", 400, false},
    {"host_list", "GET /open HTTP/1.1\r\nHost: toy, other\r\n\r\n", 400, false},
    {"host_with_path", "GET /open HTTP/1.1\r\nHost: toy/open\r\n\r\n", 400, false},
    {"host_bad_port", "GET /open HTTP/1.1\r\nHost: toy:8x\r\n\r\n", 400, false},
    {"two_authorizations",
     "GET /open HTTP/1.1\r\n" HOST "Authorization: a\r\nauthorization: b\r\n\r\n", 400, false},
    {"two_api_keys", "GET /open HTTP/1.1\r\n" HOST KEY KEY "\r\n", 400, false},
    {"two_content_types",
     "GET /open HTTP/1.1\r\n" HOST "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n", 400, false},
    {"two_idempotency_keys",
     "GET /open HTTP/1.1\r\n" HOST "Idempotency-Key: a\r\nIdempotency-Key: a\r\n\r\n", 400, false},
    // Content-Length.
    {"length_twice",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400,
     false},
    {"length_differs",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400,
     false},
    {"length_list", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 2, 2\r\n\r\n{}", 400,
     false},
    {"length_leading_zero", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 02\r\n\r\n{}", 400,
     false},
    {"length_plus", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: +2\r\n\r\n{}", 400, false},
    {"length_minus", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: -2\r\n\r\n{}", 400, false},
    {"length_hex", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 0x2\r\n\r\n{}", 400, false},
    {"length_empty", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length:\r\n\r\n", 400, false},
    {"length_overflow",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 18446744073709551618\r\n\r\n{}", 400,
     false},
    {"length_over_limit", "POST /echo HTTP/1.1\r\n" HOST KEY "Content-Length: 8388609\r\n\r\n", 413,
     false},
    // Transfer-Encoding.
    {"te_gzip", "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: gzip\r\n\r\n", 501, false},
    {"te_gzip_chunked",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: gzip, chunked\r\n\r\n", 501, false},
    {"te_chunked_twice",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked, chunked\r\n\r\n", 501, false},
    {"te_two_fields",
     "POST /echo HTTP/1.1\r\n" HOST KEY
     "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     501, false},
    {"te_identity", "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: identity\r\n\r\n", 501,
     false},
    {"te_other_case",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n", 501, false},
    {"te_quoted",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", 501,
     false},
    {"te_vertical_tab",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: \x0b"
     "chunked\r\n\r\n",
     400, false},
    {"te_on_http_1_0",
     "POST /echo HTTP/1.0\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, false},
    {"te_and_length",
     "POST /echo HTTP/1.1\r\n" HOST KEY
     "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
     400, false},
    {"length_and_te",
     "POST /echo HTTP/1.1\r\n" HOST KEY
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, false},
    // Chunks.
    {"chunk_size_no_hex",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\nx\r\n{}\r\n", 400,
     false},
    {"chunk_size_prefix",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
     400, false},
    {"chunk_size_negative",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n", 400,
     false},
    {"chunk_size_overflow",
     "POST /echo HTTP/1.1\r\n" HOST KEY
     "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n",
     400, false},
    {"chunk_too_large",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n800001\r\n", 413, false},
    {"chunk_without_end",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
     400, false},
    {"chunk_bare_lf",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", 400,
     false},
    // Expect.
    {"expect_other",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Expect: 200-ok\r\nContent-Length: 2\r\n\r\n{}", 417,
     false},
    {"expect_list",
     "POST /echo HTTP/1.1\r\n" HOST KEY "Expect: 100-continue, x\r\nContent-Length: 2\r\n\r\n{}",
     417, false},
};

class framing : public edge_fixture, public testing::WithParamInterface<corpus_row> {};

TEST_P(framing, AnswersAndKeepsOrClosesTheConnection) {
  start();
  const corpus_row& row = GetParam();
  auto client = connect();
  const auto got = client.ask(row.bytes);
  EXPECT_EQ(got.status, row.status) << got.head << got.body;
  EXPECT_TRUE(got.complete);
  if (row.status >= 400) {
    EXPECT_EQ(got.header("Content-Type"), "application/problem+json");
  }
  if (row.stays_open) {
    EXPECT_EQ(client.ask("GET /open HTTP/1.1\r\nHost: toy\r\n\r\n").status, 200);
  } else {
    EXPECT_EQ(got.header("Connection"), "close");
    client.send("GET /open HTTP/1.1\r\nHost: toy\r\n\r\n");
    EXPECT_EQ(client.read().status, 0) << "served a request after the end";
    EXPECT_TRUE(client.ends());
  }
}

// The same bytes, one at a time: where a segment ends must not matter.
TEST_P(framing, AnswersTheSameByteByByte) {
  start();
  const corpus_row& row = GetParam();
  auto client = connect();
  for (char c : row.bytes)
    if (!client.send({&c, 1}))
      break;
  EXPECT_EQ(client.read().status, row.status);
}

INSTANTIATE_TEST_SUITE_P(Corpus, framing, testing::ValuesIn(corpus),
                         [](const auto& info) { return std::string{info.param.name}; });

class edge_limits : public edge_fixture {};

TEST_F(edge_limits, RefusesAHeadOverTheLimit) {
  start();
  const std::string line = "X-Long: " + std::string(16 * 1024, 'x') + "\r\n";
  EXPECT_EQ(once("GET /open HTTP/1.1\r\n" HOST + line + "\r\n").status, 431);
  auto client = connect();
  client.send("GET /" + std::string(20 * 1024, 'x')); // No line ever ends.
  EXPECT_EQ(client.read().status, 431);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_limits, TakesAHeadJustUnderTheLimit) {
  start();
  const std::string before = "GET /open HTTP/1.1\r\n" HOST "X-Long: ", after = "\r\n\r\n";
  const std::string fits(16 * 1024 - before.size() - after.size(), 'x');
  auto client = connect();
  EXPECT_EQ(client.ask(before + fits + after).status, 200);
  EXPECT_EQ(client.ask(before + fits + after).status, 200); // And again, on the grown buffer.
  EXPECT_EQ(client.ask(before + fits + "x" + after).status, 431);
}

TEST_F(edge_limits, CountsHeaderFields) {
  start();
  std::string fields;
  for (int i = 0; i < 99; ++i)
    fields += "X: y\r\n";
  auto client = connect();
  EXPECT_EQ(client.ask("GET /open HTTP/1.1\r\n" HOST + fields + "\r\n").status, 200);
  EXPECT_EQ(client.ask("GET /open HTTP/1.1\r\n" HOST + fields + "X: y\r\n\r\n").status, 431);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_limits, SlowHeadGets408) {
  start({.head_timeout = std::chrono::milliseconds{100}});
  auto client = connect();
  client.send("GET /open HT");
  EXPECT_EQ(client.read().status, 408);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_limits, DrippingDoesNotExtendTheHeadsTime) {
  start({.head_timeout = std::chrono::milliseconds{150}});
  auto client = connect();
  const auto begin = std::chrono::steady_clock::now();
  client.send("GET /open HTTP/1.1\r\nX: ");
  while (client.send("x") && !client.readable_within(std::chrono::milliseconds{10}))
    ASSERT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{4});
  EXPECT_EQ(client.read().status, 408);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{2});
}

TEST_F(edge_limits, SilentConnectionIsClosed) {
  start({.head_timeout = std::chrono::milliseconds{50}});
  EXPECT_TRUE(connect().ends());
}

TEST_F(edge_limits, IdleKeepAliveIsClosed) {
  start({.keep_alive_timeout = std::chrono::milliseconds{50}});
  auto client = connect();
  EXPECT_EQ(client.ask(get("/open")).status, 200);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_limits, StalledBodyGets408) {
  start({.body_timeout = std::chrono::milliseconds{100}});
  for (const char* framing : {"Content-Length: 10\r\n\r\n{", "Content-Length: 100000\r\n\r\n{",
                              "Transfer-Encoding: chunked\r\n\r\n5\r\n{"}) {
    auto client = connect();
    client.send(std::string{"POST /echo HTTP/1.1\r\n" HOST KEY} + framing);
    EXPECT_EQ(client.read().status, 408) << framing;
    EXPECT_TRUE(client.ends());
  }
}

TEST_F(edge_limits, BodyAtTheLimitPassesAndOneMoreByteDoesNot) {
  start({.body_limit = 100'000});
  auto client = connect();
  EXPECT_EQ(client.ask(post("/size", std::string(100'000, 'x'))).body, "100000");
  EXPECT_EQ(client.ask(post("/size", std::string(100'001, 'x'))).status, 413);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_limits, ChunkedBodyAtTheLimitPassesAndOneMoreByteDoesNot) {
  start({.body_limit = 10'000});
  auto chunked = [](std::size_t size) {
    std::string text = "POST /size HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n";
    for (; size > 1000; size -= 1000)
      text += "3e8\r\n" + std::string(1000, 'x') + "\r\n";
    char digits[16];
    std::snprintf(digits, sizeof digits, "%zx", size);
    return text + digits + "\r\n" + std::string(size, 'x') + "\r\n0\r\n\r\n";
  };
  auto client = connect();
  EXPECT_EQ(client.ask(chunked(10'000)).body, "10000");
  EXPECT_EQ(client.ask(chunked(10'001)).status, 413);
}

TEST_F(edge_limits, RoutesForBytesHaveALimitOfTheirOwn) {
  start({.body_limit = 10, .bundle_limit = 1000});
  auto put = [](std::size_t size) {
    return "PUT /bytes HTTP/1.1\r\n" HOST KEY "Content-Type: application/x-tar\r\nContent-Length: "
           + std::to_string(size) + "\r\n\r\n" + std::string(size, 'x');
  };
  EXPECT_EQ(once(put(1000)).body, "1000");
  EXPECT_EQ(once(put(1001)).status, 413);
}

TEST_F(edge_limits, EndlessTrailersAreCutOff) {
  start();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\n" HOST KEY
              "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n");
  for (int i = 0; i < 2000 && client.send("X-Trailer: 0123456789\r\n"); ++i) {
  }
  EXPECT_EQ(client.read().status, 400);
}

TEST_F(edge_limits, EndlessChunkExtensionIsCutOff) {
  start();
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\n" HOST KEY "Transfer-Encoding: chunked\r\n\r\n2;a=");
  client.send(std::string(64 * 1024, 'x'));
  EXPECT_EQ(client.read().status, 400);
}

TEST_F(edge_limits, BodiesTogetherHaveALimit) {
  start({.body_memory = 3'000'000});
  std::vector<raw_client> holders;
  for (int i = 0; i < 2; ++i) {
    auto& holder = holders.emplace_back(connect());
    holder.send("POST /size HTTP/1.1\r\n" HOST KEY "Content-Length: 1400000\r\n\r\n"
                + std::string(1'300'000, 'x'));
  }
  ASSERT_TRUE(eventually([&] { return server_->figures().bytes_in > 2'600'000; }));
  for (const char* framing :
       {"Content-Length: 1400000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n155CC0\r\n"}) {
    auto client = connect();
    client.send(std::string{"POST /size HTTP/1.1\r\n" HOST KEY} + framing
                + std::string(1'300'000, 'x'));
    EXPECT_EQ(client.read().status, 503) << framing;
  }
  for (auto& holder : holders) {
    holder.send(std::string(100'000, 'x'));
    EXPECT_EQ(holder.read().body, "1400000");
  }
  EXPECT_EQ(once(post("/size", std::string(1'300'000, 'x'))).body,
            "1300000"); // All was given back.
}

// Goal: what handlers keep of bodies beyond their requests counts with the bodies of requests.
TEST_F(edge_limits, KeptBodiesCountWithThem) {
  static std::atomic<std::uint64_t> kept; // It outlives the server.
  kept = 2'500'000;
  before_listening_ = [&](net::io_context&, server& s) { s.count_kept_bodies(kept); };
  start({.body_memory = 3'000'000});
  EXPECT_EQ(once(post("/size", std::string(1'300'000, 'x'))).status, 503);
  kept = 0;
  EXPECT_EQ(once(post("/size", std::string(1'300'000, 'x'))).body, "1300000");
}

TEST_F(edge_limits, TooManyConnectionsGet503) {
  start({.max_connections = 2});
  auto first = connect(), second = connect();
  EXPECT_EQ(first.ask(get("/open")).status, 200);
  EXPECT_EQ(second.ask(get("/open")).status, 200);
  auto third = connect();
  const auto refused = third.read(); // Without having asked.
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.header("Retry-After"), "1");
  EXPECT_NE(refused.body.find("too_many_connections"), std::string::npos);
  EXPECT_TRUE(third.ends());
  first.close();
  ASSERT_TRUE(eventually([&] { return server_->figures().connections_open == 1; }));
  EXPECT_EQ(once(get("/open")).status, 200);
}

TEST_F(edge_limits, OneAddressCannotTakeAllConnections) {
  start({.max_connections_per_address = 1});
  auto first = connect();
  EXPECT_EQ(first.ask(get("/open")).status, 200);
  EXPECT_EQ(connect().read().status, 429);
  EXPECT_EQ(connect("127.0.0.2").ask(get("/open")).status, 200);
  first.close();
  ASSERT_TRUE(eventually([&] { return server_->figures().connections_open == 0; }));
  EXPECT_EQ(once(get("/open")).status, 200);
}

} // namespace
} // namespace edge_test
