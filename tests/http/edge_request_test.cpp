// Goal: prove what a handler gets and what is refused before it: routes, escapes, keys, scopes,
// media types.

#include "events/json.hpp"
#include "tests/http/edge_fixture.hpp"

namespace edge_test {
namespace {

/// A string member of a JSON object; "?" if there is none.
std::string member(const std::string& text, std::string_view name) {
  auto parsed = runledger::json::parse(text);
  if (!parsed)
    return "?";
  const auto found = parsed->root().find(name);
  return found && found->is_string() ? std::string{found->string()} : "?";
}

class edge_request : public edge_fixture {
protected:
  edge_request() { start(); }
};

TEST_F(edge_request, FindsRoutesLiteralsFirst) {
  auto client = connect();
  auto pattern = [&](const char* path) { return member(client.ask(get(path)).body, "pattern"); };
  EXPECT_EQ(pattern("/shape/7"), "/shape/{id}");
  EXPECT_EQ(pattern("/shape/fixed"), "/shape/fixed");
  EXPECT_EQ(pattern("/shape/fixed/log"), "/shape/{id}/log"); // The literal branch has no such end.
  EXPECT_EQ(pattern("/shape/fixed/deep/x"), "/shape/fixed/deep/{other}");
  for (const char* path :
       {"/", "/shape", "/shape/", "/shape//log", "/shape/1/", "//shape/1", "/open/", "/OPEN",
        "/nothing", "/shape/../open", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z"})
    EXPECT_EQ(client.ask(get(path)).status, 404) << path;
}

TEST_F(edge_request, DecodesSegmentsAfterSplitting) {
  auto client = connect();
  EXPECT_EQ(member(client.ask(get("/echo/a%2Fb")).body, "param.word"), "a/b");
  EXPECT_EQ(member(client.ask(get("/echo/%C3%A9+x")).body, "param.word"), "\xc3\xa9+x");
  EXPECT_EQ(member(client.ask(get("/%65cho/x")).body, "param.word"), "x");
  EXPECT_EQ(member(client.ask(get("/echo/%2e%2e")).body, "param.word"), "..");
  for (const char* path : {"/echo/%", "/echo/%4", "/echo/%zz", "/echo/%00", "/echo/%ff",
                           "/echo/%c0%af", "/echo/%ed%a0%80"})
    EXPECT_EQ(client.ask(get(path)).status, 400) << path;
}

TEST_F(edge_request, DecodesQueries) {
  auto client = connect();
  const auto got = client.ask(get("/open?a=1&b=x%20y+z&&c&a=%26&d="));
  EXPECT_NE(got.body.find(R"(["a=1","b=x y z","c=","a=&","d="])"), std::string::npos) << got.body;
  EXPECT_EQ(client.ask(get("/open?a=%")).status, 400);
  EXPECT_EQ(client.ask(get("/open?%ff=1")).status, 400);
}

TEST_F(edge_request, AnotherMethodIs405WithAllow) {
  auto client = connect();
  auto got = client.ask(post("/shape/1", "{}"));
  EXPECT_EQ(got.status, 405);
  EXPECT_EQ(got.header("Allow"), "GET, HEAD, DELETE");
  EXPECT_EQ(member(got.body, "code"), "method_not_allowed");
  got = client.ask("OPTIONS /echo HTTP/1.1\r\nHost: toy\r\n\r\n");
  EXPECT_EQ(got.status, 405);
  EXPECT_EQ(got.header("Allow"), "POST");
}

TEST_F(edge_request, HeadIsGetWithoutTheBody) {
  auto client = connect();
  const auto full = client.ask(get("/open"));
  client.send("HEAD /open HTTP/1.1\r\nHost: toy\r\n\r\n");
  const auto bare = client.read(true);
  EXPECT_EQ(bare.status, 200);
  EXPECT_NE(bare.header("Content-Length"), "0");
  EXPECT_EQ(client.ask(get("/open")).body.size(), full.body.size()) << "a body followed the head";
  client.send("HEAD /nothing HTTP/1.1\r\nHost: toy\r\n\r\n");
  EXPECT_EQ(client.read(true).status, 404);
  client.send("HEAD /echo HTTP/1.1\r\nHost: toy\r\n\r\n"); // No GET there.
  EXPECT_EQ(client.read(true).status, 405);
  EXPECT_EQ(client.ask(get("/open")).status, 200);
}

TEST_F(edge_request, WantsAKeyAndItsScope) {
  auto client = connect();
  auto with = [&](const char* target, const char* key) {
    return client.ask(std::string{target} + " HTTP/1.1\r\nHost: toy\r\n" + key + "\r\n");
  };
  auto got = with("GET /echo/x", "");
  EXPECT_EQ(got.status, 401);
  EXPECT_EQ(got.header("WWW-Authenticate"), "Bearer");
  EXPECT_EQ(member(got.body, "request_id"), got.header("Runledger-Request-Id"));
  EXPECT_EQ(with("GET /echo/x", "Authorization: Bearer wrong\r\n").status, 401);
  EXPECT_EQ(with("GET /echo/x", "Authorization: Basic reader\r\n").status, 401);
  EXPECT_EQ(with("GET /echo/x", "Authorization: reader\r\n").status, 401);
  EXPECT_EQ(with("GET /echo/x", "Authorization: Bearer reader\r\nX-API-Key: writer\r\n").status,
            401);
  EXPECT_EQ(with("GET /echo/x", "Authorization: bearer reader\r\n").status, 200);
  EXPECT_EQ(with("GET /echo/x", "X-API-Key: reader\r\n").status, 200);
  EXPECT_EQ(with("GET /echo/x", "X-API-Key: writer\r\n").status, 200);
  EXPECT_EQ(with("DELETE /shape/1", "X-API-Key: reader\r\n").status, 403);
  EXPECT_EQ(with("DELETE /shape/1", "X-API-Key: writer\r\n").status, 204);
  EXPECT_EQ(with("GET /admin", "X-API-Key: writer\r\n").status, 403);
  EXPECT_EQ(with("GET /admin", "X-API-Key: admin\r\n").status, 200);
  EXPECT_EQ(with("GET /nothing", "").status, 404); // Nothing there to protect.
}

TEST_F(edge_request, ARefusedShortBodyDoesNotCostTheConnection) {
  auto client = connect();
  auto got = client.ask(
      "POST /echo HTTP/1.1\r\nHost: toy\r\nContent-Length: 24\r\n\r\nGET /open HTTP/1.1\r\n\r\n..");
  EXPECT_EQ(got.status, 401);
  EXPECT_EQ(client.ask(get("/open")).status, 200);
  EXPECT_TRUE(client.pending().empty()) << "the body was taken for a request";
}

TEST_F(edge_request, ARefusedLongBodyIsNotWaitedFor) {
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: toy\r\nContent-Length: 5000000\r\n\r\n{");
  EXPECT_EQ(client.read().status, 401);
  client.send(std::string(200'000, 'x')); // What was under way does not destroy the answer.
  client.finish_sending();
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_request, ChecksMediaTypes) {
  auto client = connect();
  auto typed = [&](const char* path, const std::string& line) {
    return client.ask(post(path, "{}", line)).status;
  };
  const std::string type = "Content-Type: ";
  for (const char* fine :
       {"application/json", "application/JSON; charset=utf-8", "application/merge-patch+json"})
    EXPECT_EQ(typed("/echo", type + fine + "\r\n"), 200) << fine;
  EXPECT_EQ(typed("/echo", ""), 200);
  EXPECT_EQ(typed("/echo", type + "\r\n"), 200);
  for (const char* bad :
       {"text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json", "+json"})
    EXPECT_EQ(typed("/echo", type + bad + "\r\n"), 415) << bad;
  EXPECT_EQ(typed("/form", type + "application/x-www-form-urlencoded\r\n"), 200);
  EXPECT_EQ(typed("/form", type + "multipart/form-data\r\n"), 415);
  EXPECT_EQ(typed("/echo", "Content-Encoding: gzip\r\n"), 415);
  EXPECT_EQ(typed("/echo", "Content-Encoding: identity\r\n"), 200);
}

TEST_F(edge_request, GivesTheBodyWhole) {
  auto client = connect();
  for (std::size_t size : {0u, 1u, 2u, 3000u, 4096u, 5000u, 70'000u, 1'000'000u}) {
    const std::string text(size, 'x');
    EXPECT_EQ(member(client.ask(post("/echo", text)).body, "body"), text) << size;
  }
}

TEST_F(edge_request, DecodesChunksAndIgnoresTrailers) {
  auto client = connect();
  const auto got = client.ask(
      "POST /echo HTTP/1.1\r\nHost: toy\r\nX-API-Key: writer\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3\r\nabc\r\n00A\r\n0123456789\r\n0\r\nX-Test: sneaked\r\nAuthorization: Bearer admin\r\n\r\n"
      "GET /open HTTP/1.1\r\nHost: toy\r\n\r\n");
  EXPECT_EQ(member(got.body, "body"), "abc0123456789");
  EXPECT_EQ(member(got.body, "x_test"), "absent");
  EXPECT_EQ(member(got.body, "caller"), "writer");
  EXPECT_EQ(client.read().status, 200); // The request behind the chunks.
}

TEST_F(edge_request, LargeChunkedBodyThenPipelinedRequests) {
  auto client = connect();
  std::string text =
      "POST /size HTTP/1.1\r\nHost: toy\r\nX-API-Key: writer\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 50; ++i)
    text += "2710\r\n" + std::string(10'000, 'x') + "\r\n";
  text += "0\r\n\r\n";
  for (int i = 0; i < 100; ++i)
    text += get("/open");
  client.send(text);
  EXPECT_EQ(client.read().body, "500000");
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(client.read().status, 200) << i;
}

TEST_F(edge_request, AnswersPipelinedRequestsInOrder) {
  auto client = connect();
  auto mark = [](int i) { return std::string{"n"}.append(std::to_string(i)); };
  std::string text;
  for (int i = 0; i < 300; ++i)
    text += i % 3 == 0 ? post("/echo", mark(i)) : get("/echo/" + mark(i));
  client.send(text);
  for (int i = 0; i < 300; ++i) {
    const auto got = client.read();
    ASSERT_EQ(member(got.body, i % 3 == 0 ? "body" : "param.word"), mark(i));
  }
}

TEST_F(edge_request, Continues) {
  auto client = connect();
  client.send("POST /echo HTTP/1.1\r\nHost: toy\r\nX-API-Key: writer\r\nExpect: "
              "100-Continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.read().status, 100);
  client.send("{}");
  EXPECT_EQ(client.read().status, 200);
  client.send("POST /echo HTTP/1.1\r\nHost: toy\r\nX-API-Key: writer\r\nExpect: "
              "100-continue\r\nTransfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(client.read().status, 100);
  client.send("2\r\n{}\r\n0\r\n\r\n");
  EXPECT_EQ(client.read().status, 200);
}

TEST_F(edge_request, DoesNotContinueWhatItRefuses) {
  auto client = connect();
  const auto got = client.ask(
      "POST /echo HTTP/1.1\r\nHost: toy\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(got.status, 401);
  EXPECT_TRUE(client.ends()); // Whether the two bytes come or not cannot be known.
}

TEST_F(edge_request, NamesPeerAndRequest) {
  auto client = connect();
  const auto first = client.ask(get("/open", "X-TEST: \t value \r\n"));
  EXPECT_EQ(member(first.body, "client"), "127.0.0.1");
  EXPECT_EQ(member(first.body, "x_test"), "value");
  EXPECT_EQ(member(first.body, "id"), first.header("Runledger-Request-Id"));
  EXPECT_EQ(first.header("Runledger-Request-Id").size(), 30u);
  EXPECT_NE(client.ask(get("/open")).header("Runledger-Request-Id"),
            first.header("Runledger-Request-Id"));
}

TEST_F(edge_request, AHalfClosedClientStillGetsItsAnswers) {
  auto client = connect();
  client.send(get("/open") + get("/open"));
  client.finish_sending();
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(client.read().status, 200);
  EXPECT_TRUE(client.ends());
}

TEST_F(edge_request, CountsByRouteAndClass) {
  auto client = connect();
  client.ask(get("/open"));
  client.ask(get("/open"));
  client.ask(get("/nothing"));
  client.ask(post("/echo", "{}", "Content-Type: text/plain\r\n"));
  const auto text = on_edge([&] {
    std::string out;
    server_->figures().write_prometheus(out);
    return out;
  });
  auto has = [&](std::string_view line) { return text.find(line) != std::string::npos; };
  EXPECT_TRUE(
      has("runledger_http_requests_total{method=\"GET\",route=\"/open\",status=\"2xx\"} 2\n"))
      << text;
  EXPECT_TRUE(
      has("runledger_http_requests_total{method=\"none\",route=\"none\",status=\"4xx\"} 1\n"));
  EXPECT_TRUE(
      has("runledger_http_requests_total{method=\"POST\",route=\"/echo\",status=\"4xx\"} 1\n"));
  EXPECT_TRUE(has("runledger_http_request_seconds_count{group=\"toys\"} 2\n"));
  EXPECT_TRUE(has("runledger_http_connections_open 1\n"));
}

} // namespace
} // namespace edge_test
