#include "tests/http/edge_fixture.hpp"

#include "events/json.hpp"

namespace edge_test {

namespace {

class edge_proxy : public edge_fixture {};

std::string member(const response& from, std::string_view name) {
  const auto parsed = runledger::json::parse(from.body);
  if (!parsed || !parsed->root().find(name))
    return "absent";
  return std::string{parsed->root().find(name)->string()};
}

std::string forwarded(std::string_view client, std::string_view more = {}) {
  return "X-Forwarded-For: " + std::string{client} + "\r\n" + std::string{more};
}

} // namespace

// Goal: a trusted proxy's word on client and scheme reaches the handlers and the log.
TEST_F(edge_proxy, believes_a_trusted_proxy) {
  start({}, {"127.0.0.0/29"});
  auto proxy = connect();
  const auto first = proxy.ask(
      get("/echo/a", forwarded("198.51.100.1, 203.0.113.9", "X-Forwarded-Proto: https\r\n")));
  EXPECT_EQ(member(first, "client"), "203.0.113.9") << first.body;
  EXPECT_EQ(member(first, "scheme"), "https");
  const auto second = proxy.ask(get("/echo/a", forwarded("203.0.113.10")));
  EXPECT_EQ(member(second, "client"), "203.0.113.10") << "each request has a client of its own";
  EXPECT_EQ(member(second, "scheme"), "");
  const auto own = proxy.ask(get("/echo/a"));
  EXPECT_EQ(member(own, "client"), "127.0.0.1");
  EXPECT_EQ(
      on_edge([this] { return clients_; }),
      (std::vector<std::string>{"203.0.113.9 /echo/{word} 200", "203.0.113.10 /echo/{word} 200",
                                "127.0.0.1 /echo/{word} 200"}));
}

// Goal: nobody else can say where a request comes from.
TEST_F(edge_proxy, ignores_everybody_else) {
  start({}, {"127.0.0.9"});
  const auto spoofed =
      once(get("/echo/a", forwarded("203.0.113.9", "X-Forwarded-Proto: https\r\n")));
  EXPECT_EQ(member(spoofed, "client"), "127.0.0.1") << spoofed.body;
  EXPECT_EQ(member(spoofed, "scheme"), "");
  const auto proxied = connect("127.0.0.9").ask(get("/echo/a", forwarded("203.0.113.9")));
  EXPECT_EQ(member(proxied, "client"), "203.0.113.9");
}

// Goal: a proxy's connections are not one client's, while a direct client still has its bound.
TEST_F(edge_proxy, has_more_connections_than_a_client) {
  start({.max_connections_per_address = 1}, {"127.0.0.9"});
  auto one = connect("127.0.0.9"), two = connect("127.0.0.9"), three = connect("127.0.0.9");
  for (auto* each : {&one, &two, &three})
    EXPECT_EQ(each->ask(get("/echo/a")).status, 200);
  auto direct = connect();
  EXPECT_EQ(direct.ask(get("/echo/a", forwarded("203.0.113.1"))).status, 200);
  EXPECT_EQ(connect().ask(get("/echo/a", forwarded("203.0.113.2"))).status, 429)
      << "no header gives a direct client another address";
}

// Goal: through a proxy a client has as many requests under way as it could have connections; the
// next is refused, others are not, and the place is free again after the answer, however it ends.
TEST_F(edge_proxy, bounds_each_client_by_its_requests) {
  start({.max_connections_per_address = 2}, {"127.0.0.0/8"});
  auto one = connect(), two = connect(), three = connect();
  one.send(get("/later", forwarded("203.0.113.9")));
  two.send(get("/later", forwarded("203.0.113.9")));
  ASSERT_TRUE(reaches(&toy::arrived, 2));
  const auto refused = three.ask(get("/echo/a", forwarded("203.0.113.9")));
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(member(refused, "code"), "too_many_connections");
  EXPECT_NE(refused.header("retry-after"), "");
  EXPECT_EQ(three.ask(get("/echo/a", forwarded("203.0.113.10"))).status, 200)
      << "the connection stays usable for other clients";
  EXPECT_EQ(on_edge([this] { return clients_.front(); }), "203.0.113.9 - 429");

  on_edge([this] {
    auto held = std::move(toy_.waiting.front());
    toy_.waiting.erase(toy_.waiting.begin());
    held.json(status::ok, "{}");
  });
  EXPECT_EQ(one.read().status, 200);
  EXPECT_EQ(three.ask(get("/echo/a", forwarded("203.0.113.9"))).status, 200);

  two.close(); // A client that leaves gives its place back too, once its request is let go.
  on_edge([this] { toy_.waiting.clear(); });
  ASSERT_TRUE(eventually([this] { return server_->figures().connections_open == 2; }));
  auto stream = connect();
  stream.send(get("/stream", forwarded("203.0.113.9")));
  ASSERT_TRUE(reaches(&toy::arrived, 3));
  one.send(get("/later", forwarded("203.0.113.9")));
  ASSERT_TRUE(reaches(&toy::arrived, 4));
  EXPECT_EQ(three.ask(get("/echo/a", forwarded("203.0.113.9"))).status, 429)
      << "an event stream is a request under way";
}

// Goal: a direct connection and requests through a proxy count together.
TEST_F(edge_proxy, counts_a_client_once_for_all_ways) {
  start({.max_connections_per_address = 1}, {"127.0.0.9"});
  auto direct = connect("127.0.0.2");
  EXPECT_EQ(direct.ask(get("/echo/a")).status, 200);
  auto proxy = connect("127.0.0.9");
  EXPECT_EQ(proxy.ask(get("/echo/a", forwarded("127.0.0.2"))).status, 429);
  direct.close();
  ASSERT_TRUE(eventually([this] { return server_->figures().connections_open == 1; }));
  EXPECT_EQ(proxy.ask(get("/echo/a", forwarded("127.0.0.2"))).status, 200);
}

} // namespace edge_test
