#include "cli/client.hpp"

#include "cli/sse_reader.hpp"
#include "tests/unit/cli/canned_server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runledger::cli {

namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

client to(const canned_server& server) {
  return client{*parse_server(server.url()), "the-key"};
}

} // namespace

// Goal: an address says scheme, host and port, and what is none is refused.
TEST(client, addresses) {
  const auto plain = parse_server("http://127.0.0.1:8080/");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->tls);
  EXPECT_EQ(plain->host, "127.0.0.1");
  EXPECT_EQ(plain->port, 8080);
  EXPECT_EQ(plain->base, "");
  EXPECT_EQ(plain->url, "http://127.0.0.1:8080");
  const auto proxied = parse_server("https://example.org/runledger/");
  ASSERT_TRUE(proxied);
  EXPECT_TRUE(proxied->tls);
  EXPECT_EQ(proxied->port, 443);
  EXPECT_EQ(proxied->base, "/runledger");
  const auto v6 = parse_server("http://[::1]:9");
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  for (const auto* bad : {"", "127.0.0.1:8080", "ftp://x", "http://", "http://:80", "http://x:0",
                          "http://x:99999", "http://x:8a", "http://user@x", "http://x/?a=b"})
    EXPECT_FALSE(parse_server(bad)) << bad;
}

// Goal: key, method, target and body arrive as they were given; the answer comes back whole.
TEST(client, sends_and_receives) {
  const canned_server server{{answer(201, R"({"id":"x"})", "Link: </next>; rel=\"next\"\r\n")}};
  http_call call;
  call.method = "POST";
  call.target = "/api/v1/agents";
  call.body = R"({"name":"n"})";
  call.fields.emplace_back("Idempotency-Key", "k1");
  const auto reply = to(server).send(call);
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->status, 201u);
  EXPECT_EQ(reply->body, R"({"id":"x"})");
  EXPECT_EQ(reply->field("link"), "</next>; rel=\"next\"");
  const auto asked = server.requests().at(0);
  EXPECT_THAT(asked, StartsWith("POST /api/v1/agents HTTP/1.1\r\n"));
  EXPECT_EQ(field_of(asked, "Authorization"), "Bearer the-key");
  EXPECT_EQ(field_of(asked, "Idempotency-Key"), "k1");
  EXPECT_EQ(field_of(asked, "Content-Type"), "application/json");
  EXPECT_THAT(asked, ::testing::EndsWith("\r\n\r\n{\"name\":\"n\"}"));
}

TEST(client, reads_chunks_as_they_come) {
  const canned_server server{
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"}};
  std::string text;
  const auto reply = to(server).stream({}, [&](std::string_view piece) {
    text += piece;
    return true;
  });
  ASSERT_TRUE(reply);
  EXPECT_EQ(text, "abcdefg");
  EXPECT_EQ(reply->body, "");
}

// Goal: the body of a refusal is kept for the explanation, not handed on as content.
TEST(client, a_refusal_is_no_content) {
  const canned_server server{{answer(404, R"({"code":"not_found"})")}};
  const auto reply = to(server).stream({}, [](std::string_view) {
    ADD_FAILURE() << "the refusal was taken for content";
    return true;
  });
  ASSERT_TRUE(reply);
  EXPECT_EQ(reply->body, R"({"code":"not_found"})");
}

// Goal: what was surely not sent and what may have been carried out are told apart.
TEST(client, unreachable_and_lost_differ) {
  std::string url;
  {
    const canned_server gone{{}};
    url = gone.url();
  }
  const auto refused = client{*parse_server(url), ""}.send({});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, trouble::unreachable);
  EXPECT_EQ(refused.error().message,
            "cannot reach " + url + ": connection refused; is `runledger serve` running?");

  for (const auto* cut :
       {"", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"}) {
    const canned_server server{{cut}};
    const auto lost = to(server).send({});
    ASSERT_FALSE(lost) << cut;
    EXPECT_EQ(lost.error().kind, trouble::lost);
    EXPECT_THAT(lost.error().message, HasSubstr("the connection was closed"));
  }
}

// Goal: a server that says nothing does not hold the command for ever.
TEST(client, patience_ends) {
  const canned_server server{{std::string{silence}}};
  http_call call;
  call.patience = std::chrono::milliseconds{50};
  const auto lost = to(server).send(call);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, trouble::lost);
  EXPECT_THAT(lost.error().message, HasSubstr("no answer in time"));
}

// Goal: events are the same whatever the pieces, and comments are nothing.
TEST(sse_reader, any_pieces_give_the_same_events) {
  const std::string text =
      ": hello\n\nid: 1\nevent: item\ndata: {\"a\":\ndata: 1}\n\nid: 2\r\ndata:x\r\n\r\n:\n\n"
      "id: 3\ndata: cut off";
  for (std::size_t size = 1; size <= text.size(); ++size) {
    sse_reader reader;
    std::vector<sse_event> events;
    for (std::size_t at = 0; at < text.size(); at += size)
      for (auto& event : reader.feed(std::string_view{text}.substr(at, size)))
        events.push_back(event);
    ASSERT_EQ(events.size(), 2u) << size;
    EXPECT_EQ(events[0].id, "1");
    EXPECT_EQ(events[0].event, "item");
    EXPECT_EQ(events[0].data, "{\"a\":\n1}");
    EXPECT_EQ(events[1].id, "2");
    EXPECT_EQ(events[1].data, "x");
  }
}

} // namespace runledger::cli
