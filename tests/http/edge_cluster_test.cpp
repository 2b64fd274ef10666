// Goal: the edges of several nodes: what one cannot answer another does, once, and the client sees
// no difference.

#include "http/cluster/forwarder.hpp"
#include "tests/http/edge_certificate.hpp"
#include "tests/http/edge_fixture.hpp"
#include "tests/support/temp_folder.hpp"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace edge_test {
namespace {

const std::string secret = "a secret of a test, long enough to be one";

class fixed_members final : public membership {
public:
  std::optional<std::string> address_of(std::uint32_t partition) const override {
    return partition == 7 && !holder.empty() ? std::optional{holder} : std::nullopt;
  }
  std::vector<std::string> others() const override { return {}; }
  std::string own_address() const override { return "http://own:1"; }
  std::uint64_t looks() const override { return 0; }
  bool has_stranger(std::uint32_t) const override { return strange; }
  void suspect() override { ++suspected; }

  std::string holder;
  bool strange = false;
  int suspected = 0;
};

/// A node with toy routes.
class toy_node : public edge_fixture {
public:
  void TestBody() override {}
  ~toy_node() override { stop(); }
  void begin(limits bounds = {}, const tls_files& tls = {}) {
    before_listening_ = [this, tls](net::io_context& io, server& s) {
      client = std::make_unique<node_client>(io, trust.authorization(), believes);
      if (!tls.key.empty())
        tls_port = s.listen("127.0.0.1", 0, tls);
      relay = std::make_unique<forwarder>(members, trust, *client);
      s.join(*relay);
    };
    after_server_ = [this] { client->stop(); };
    start(bounds);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

  using edge_fixture::clients_;
  using edge_fixture::complaints_;
  using edge_fixture::connect;
  using edge_fixture::eventually;
  using edge_fixture::on_edge;
  using edge_fixture::once;
  using edge_fixture::port_;
  using edge_fixture::reaches;
  using edge_fixture::refused_;
  using edge_fixture::start;
  using edge_fixture::toy_;
  std::string believes; ///< Certificates of other nodes.
  std::uint16_t tls_port = 0;
  fixed_members members;
  cluster_trust trust{secret};
  std::unique_ptr<node_client> client;
  std::unique_ptr<forwarder> relay;
};

/// Two nodes: the first has nothing.
class edge_cluster : public testing::Test {
protected:
  void begin(limits bounds = {}) {
    second.begin();
    first.toy_.elsewhere = true;
    first.begin(bounds);
    first.members.holder = second.url();
  }
  std::vector<std::string> refused(toy_node& node) {
    return node.on_edge([&] { return node.refused_; });
  }
  int suspected() {
    return first.on_edge([&] { return first.members.suspected; });
  }
  /// A port on which something reads a request and goes.
  std::uint16_t start_breaking() {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    breaking_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ::bind(breaking_, reinterpret_cast<sockaddr*>(&at), size);
    ::getsockname(breaking_, reinterpret_cast<sockaddr*>(&at), &size);
    ::listen(breaking_, 8);
    breaker_ = std::thread{[this] {
      const int fd = ::accept(breaking_, nullptr, nullptr);
      char bytes[4096];
      if (fd >= 0 && ::recv(fd, bytes, sizeof bytes, 0) >= 0)
        ::close(fd);
    }};
    return ntohs(at.sin_port);
  }
  ~edge_cluster() override {
    if (!breaker_.joinable())
      return;
    ::shutdown(breaking_, SHUT_RDWR);
    breaker_.join();
    ::close(breaking_);
  }

  toy_node second, first;
  int breaking_ = -1;
  std::thread breaker_;
};

// Goal: a request goes to the holder as it was, under the same id, for the same caller and client;
// what comes back is what the holder said. Connections are used again.
TEST_F(edge_cluster, relays_request_and_answer) {
  begin();
  auto client = first.connect();
  for (int i = 0; i < 3; ++i) {
    const auto got = client.ask(post("/entity/a%20b?x=1", R"({"a":1})", "Idempotency-Key: k\r\n"));
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.header("content-type"), "application/json");
    EXPECT_EQ(got.header("x-toy"), "k");
    EXPECT_EQ(got.header("x-client"), "127.0.0.1");
    EXPECT_NE(got.body.find(R"("param.word":"a b")"), std::string::npos) << got.body;
    EXPECT_NE(got.body.find(R"("queries":["x=1"])"), std::string::npos);
    EXPECT_NE(got.body.find(R"("body":"{\"a\":1}")"), std::string::npos);
    EXPECT_NE(got.body.find(R"("caller":"writer")"), std::string::npos);
    EXPECT_NE(got.body.find(got.header("runledger-request-id")), std::string::npos);
  }
  const auto large = client.ask(post("/entity/large", std::string(1024 * 1024, ' ') + "1"));
  EXPECT_EQ(large.status, 201);
  EXPECT_EQ(large.body.size(), 4u * 1024 * 1024);
  EXPECT_EQ(client.ask(post("/entity/empty", "1")).status, 204);
  EXPECT_EQ(second.on_edge([&] { return second.clients_.size(); }), 5u);
}

// Goal: nodes reach each other over TLS if they have the other's certificate, and not otherwise:
// who has no right to the address gets neither the request nor the authorization.
TEST_F(edge_cluster, speaks_tls) {
  runledger::test::temp_folder folder;
  const tls_files good{folder / "good.pem", folder / "good.key"};
  const tls_files other{folder / "other.pem", folder / "other.key"};
  make_certificate(good);
  make_certificate(other);
  first.believes = good.certificate;
  second.begin({}, good);
  toy_node impostor;
  impostor.begin({}, other);
  first.toy_.elsewhere = true;
  first.begin();
  auto ask_at = [&](std::uint16_t port) {
    first.on_edge([&] { first.members.holder = "https://127.0.0.1:" + std::to_string(port); });
    return first.once(post("/entity/x", R"({"a":1})"));
  };
  for (int i = 0; i < 2; ++i) {
    const auto got = ask_at(second.tls_port);
    EXPECT_EQ(got.status, 200) << got.body;
    EXPECT_NE(got.body.find(R"("caller":"writer")"), std::string::npos) << got.body;
  }
  const auto refused = ask_at(impostor.tls_port);
  EXPECT_EQ(refused.status, 503);
  EXPECT_NE(refused.body.find("cannot be reached"), std::string::npos) << refused.body;
  EXPECT_EQ(ask_at(second.port_).status, 503) << "plain HTTP is none";
  EXPECT_TRUE(impostor.on_edge([&] { return impostor.clients_.empty(); }));
}

// Goal: a forwarded request goes no further, is refused with a time to come back, and recorded
// once, by the node that refused it.
TEST_F(edge_cluster, goes_one_hop) {
  begin();
  second.toy_.elsewhere = true;
  second.members.holder = first.url();
  const auto got = first.once(post("/entity/x", "1"));
  EXPECT_EQ(got.status, 503);
  EXPECT_EQ(got.header("retry-after"), "1");
  EXPECT_NE(got.body.find(R"("code":"not_owner")"), std::string::npos);
  EXPECT_EQ(refused(second), std::vector<std::string>{"not_owner"});
  EXPECT_TRUE(refused(first).empty());
  EXPECT_EQ(suspected(), 1);
}

// Goal: where nobody is, nothing was done, and that is what the client hears.
TEST_F(edge_cluster, says_that_nobody_is_there) {
  begin();
  for (const auto* holder : {"", "http://own:1", "http://127.0.0.1:1"}) {
    first.on_edge([&] { first.members.holder = holder; });
    const auto got = first.once(post("/entity/x", "1"));
    EXPECT_EQ(got.status, 503) << holder;
    EXPECT_EQ(got.header("retry-after"), "1");
    EXPECT_NE(got.body.find(R"("code":"not_owner")"), std::string::npos);
  }
  EXPECT_EQ(suspected(), 3);
  EXPECT_EQ(refused(first).size(), 3u);
  first.on_edge([&] {
    first.members.holder.clear();
    first.members.strange = true;
  });
  EXPECT_NE(first.once(post("/entity/x", "1")).body.find("kafka.cluster_secret_file"),
            std::string::npos);
}

// Goal: what became of forwarded requests is counted.
TEST_F(edge_cluster, counts_what_it_forwards) {
  begin();
  EXPECT_EQ(first.once(post("/entity/x", "1")).status, 200);
  EXPECT_EQ(first.once(post("/entity/x", "1")).status, 200);
  first.on_edge([&] { first.members.holder.clear(); });
  EXPECT_EQ(first.once(post("/entity/x", "1")).status, 503);
  first.on_edge([&] { first.members.holder = "http://127.0.0.1:1"; });
  EXPECT_EQ(first.once(post("/entity/x", "1")).status, 503);
  const auto port = start_breaking();
  first.on_edge([&] { first.members.holder = "http://127.0.0.1:" + std::to_string(port); });
  EXPECT_EQ(first.once(post("/entity/x", "1")).status, 503);
  const auto text = first.on_edge([&] {
    std::string out;
    first.relay->append_metrics(out);
    return out;
  });
  for (const auto* line : {R"({end="answered"} 2)", R"({end="nobody"} 1)",
                           R"({end="unreachable"} 1)", R"({end="lost"} 1)"})
    EXPECT_NE(text.find(line), std::string::npos) << text;
}

// Goal: a node with another secret is told so, and not that its client's good key is none; the log
// says it as well, and not with every request.
TEST_F(edge_cluster, tells_a_node_with_another_secret) {
  begin();
  const auto request = "GET /admin HTTP/1.1\r\nHost: toy\r\nAuthorization: "
                       + cluster_trust{"another secret of some length here"}.authorization()
                       + "\r\nRunledger-Principal: admin;default;16\r\n\r\n";
  for (int i = 0; i < 3; ++i) {
    const auto got = first.once(request);
    EXPECT_EQ(got.status, 503);
    EXPECT_NE(got.body.find("kafka.cluster_secret_file"), std::string::npos) << got.body;
  }
  const auto said = first.on_edge([&] { return first.complaints_; });
  ASSERT_EQ(said.size(), 1u);
  EXPECT_NE(said[0].find("kafka.cluster_secret_file"), std::string::npos) << said[0];
}

// Goal: more requests than there are connections to a node wait no longer than their time, and
// nothing of them was done; what nodes say to each other does not wait behind clients' requests.
TEST_F(edge_cluster, waits_for_a_connection_within_its_time) {
  begin();
  constexpr int connections = 256;
  struct ended {
    int early = 0, late = 0, own = 0;
  };
  auto seen = std::make_shared<ended>();
  first.on_edge([&] {
    auto send = [&](bool for_client, std::chrono::milliseconds patience, node_client::done then) {
      node_request ask;
      ask.address = second.url();
      ask.target = for_client ? "/later" : "/open";
      ask.patience = patience;
      ask.for_client = for_client;
      ask.fields.emplace_back(principal_header, "reader;default;31");
      first.client->send(std::move(ask), std::move(then));
    };
    for (int i = 0; i < connections; ++i)
      send(true, std::chrono::seconds{60}, [seen](const auto&) { ++seen->late; });
    send(true, std::chrono::milliseconds{50}, [seen](const auto& got) {
      seen->early += !got && got.error() == node_trouble::unreachable ? 1 : 100;
    });
    send(false, std::chrono::seconds{60},
         [seen](const auto& got) { seen->own += got && got->status == 200 ? 1 : 100; });
  });
  EXPECT_TRUE(first.eventually([&] { return seen->early == 1 && seen->own == 1; }))
      << seen->early << ' ' << seen->own;
  EXPECT_EQ(first.on_edge([&] { return seen->late; }), 0);
}

// Goal: a node that goes away behind the request leaves its outcome unknown.
TEST_F(edge_cluster, says_that_the_outcome_is_unknown) {
  begin();
  const auto port = start_breaking();
  first.on_edge([&] { first.members.holder = "http://127.0.0.1:" + std::to_string(port); });
  const auto got = first.once(post("/entity/x", "1"));
  EXPECT_EQ(got.status, 503);
  EXPECT_NE(got.body.find(R"("code":"outcome_unknown")"), std::string::npos) << got.body;
  EXPECT_EQ(suspected(), 1);
}

// Goal: a client that leaves takes its request along, on the other node too.
TEST_F(edge_cluster, follows_a_client_that_leaves) {
  begin();
  auto client = first.connect();
  client.send(post("/entity/later", "1"));
  ASSERT_TRUE(second.reaches(&toy::arrived, 1));
  client.close();
  EXPECT_TRUE(second.reaches(&toy::told, 1));
}

// Goal: a holder that does not answer costs its client no more than the deadline.
TEST_F(edge_cluster, keeps_the_deadline) {
  limits bounds;
  bounds.request_timeout = std::chrono::milliseconds{100};
  begin(bounds);
  const auto got = first.once(post("/entity/later", "1"));
  EXPECT_EQ(got.status, 503);
  EXPECT_NE(got.body.find(R"("code":"outcome_unknown")"), std::string::npos) << got.body;
}

// Goal: who is no node is nobody, whatever the header fields say; routes of nodes are not there.
TEST_F(edge_cluster, believes_nodes_only) {
  begin();
  const std::string who = "Runledger-Principal: admin;default;16\r\n";
  auto asked = [&](toy_node& node, const std::string& target, const std::string& authorization) {
    return node.once("GET " + target + " HTTP/1.1\r\nHost: toy\r\nAuthorization: " + authorization
                     + "\r\n" + who + "\r\n");
  };
  EXPECT_EQ(asked(first, "/admin", first.trust.authorization()).status, 200);
  EXPECT_EQ(asked(first, "/node", first.trust.authorization()).status, 200);
  for (const auto& other : {std::string{"Bearer reader"}, std::string{"Runledger-Cluster "},
                            cluster_trust{"another secret of some length here"}.authorization()}) {
    EXPECT_NE(asked(first, "/admin", other).status, 200) << other;
    EXPECT_EQ(asked(first, "/node", other).status, 404) << other;
  }
  toy_node alone;
  alone.start();
  EXPECT_EQ(asked(alone, "/admin", first.trust.authorization()).status, 401);
  EXPECT_EQ(asked(alone, "/node", first.trust.authorization()).status, 404);
}

} // namespace
} // namespace edge_test
