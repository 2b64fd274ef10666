// Goal: what a node says and does while it goes, sleeps, is cut off from its brokers, or stands
// beside somebody who is no node.

#include "events/log/kafka/group.hpp"
#include "events/log/kafka/topics.hpp"
#include "http/cluster/trust.hpp"
#include "tests/kafka/nodes.hpp"
#include "tests/support/kafka_cluster.hpp"
#include "tests/support/program.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <csignal>
#include <deque>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace runledger::test {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string start_a_run = R"({"initial_state":{"file":"ballad.txt"}})";

/// A connection on which a request goes out and its answer is read later, or bit by bit.
class slow_caller {
public:
  explicit slow_caller(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{30, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  ~slow_caller() { ::close(fd_); }
  slow_caller(const slow_caller&) = delete;
  slow_caller& operator=(const slow_caller&) = delete;

  bool get(const std::string& target, const std::string& key, const std::string& more = {}) {
    const auto text = "GET " + target + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer "
                      + key + "\r\n" + more + "\r\n";
    return connected_
           && ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL)
                  == static_cast<ssize_t>(text.size());
  }
  /// Reads until `enough` of what came so far; false: the end came first.
  template <class Enough>
  bool read_until(Enough enough) {
    char bytes[4096];
    while (!enough(got_)) {
      const auto n = ::recv(fd_, bytes, sizeof bytes, 0);
      if (n <= 0)
        return false;
      got_.append(bytes, static_cast<std::size_t>(n));
    }
    return true;
  }
  int status() {
    const bool came =
        read_until([](const std::string& got) { return got.find("\r\n\r\n") != got.npos; });
    return came ? std::atoi(got_.c_str() + got_.find(' ')) : 0;
  }
  const std::string& got() const { return got_; }

private:
  int fd_;
  bool connected_ = false;
  std::string got_;
};

/// The ids of whole events, in their order.
std::vector<std::string> event_ids(std::string_view stream) {
  std::vector<std::string> out;
  std::string id;
  while (!stream.empty()) {
    const auto end = stream.find('\n');
    if (end == stream.npos)
      break;
    auto line = stream.substr(0, end);
    if (line.ends_with('\r'))
      line.remove_suffix(1);
    if (line.starts_with("id: "))
      id = line.substr(4);
    else if (line.empty() && !id.empty())
      out.push_back(std::exchange(id, {}));
    stream.remove_prefix(end + 1);
  }
  return out;
}

} // namespace

// Goal: a node that drains for as long as a harness takes answers what only it can answer, also
// through the other node, at the first attempt; who asks it whether it is ready hears that it is
// not.
TEST_F(on_real_kafka, a_draining_node_answers_for_its_partitions) {
  kafka_nodes_options options;
  options.flags = {"--runs.drain-seconds", "20"};
  options.session_timeout = seconds{6}; // Each request has one attempt, on a busy machine too.
  kafka_nodes nodes{2, options};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const auto slow = nodes.begin_run(5000);
  const auto going = nodes.runner(), left = 1 - going;
  nodes[going].signal(SIGTERM);
  ASSERT_TRUE(eventually(
      [&] { return nodes[going].printed_now().find("SIGTERM: draining") != std::string::npos; }));
  std::vector<std::string> runs{slow};
  for (int i = 0; i < 12; ++i) {
    const header_list keyed{{"Idempotency-Key", "late-" + std::to_string(i)}};
    for (auto at : {left, going}) {
      const auto got =
          nodes.client(at).ask("POST", "/api/v1/agents/wordcount/runs", start_a_run, keyed);
      EXPECT_EQ(got.status, 201) << at << ' ' << got.body;
      runs.push_back(got["id"]);
    }
  }
  EXPECT_EQ(nodes.client(going).get("/readyz").status, 503);
  EXPECT_GT(nodes.held(going), 0U) << "it drained too soon to show anything";
  const auto end = nodes[going].await_end(seconds{40});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0) << nodes[going].why();
  for (const auto& run : runs)
    EXPECT_TRUE(eventually([&] { return nodes.status_of(run, left) == "succeeded"; })) << run;
}

// Goal: a node that slept while a key was revoked elsewhere does not accept it, not even in a
// request that waits for it when it wakes; the answer until it knows is 503.
TEST_F(on_real_kafka, who_slept_accepts_no_revoked_key) {
  kafka_nodes nodes{2};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  const auto key = nodes.client(0).ask("POST", "/api/v1/keys", R"({"name":"k","scopes":["read"]})");
  ASSERT_EQ(key.status, 201) << key.body;
  auto ask_second = [&] {
    return http_client{nodes.port(1), key["key"]}.get("/api/v1/agents").status;
  };
  EXPECT_EQ(ask_second(), 200);
  nodes[1].signal(SIGSTOP);
  std::deque<slow_caller> early;
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(early.emplace_back(nodes.port(1)).get("/api/v1/agents", key["key"]));
  EXPECT_TRUE(eventually([&] { return nodes.held(0) == nodes.partitions(); }));
  EXPECT_TRUE(eventually(
      [&] { return nodes.client(0).ask("DELETE", "/api/v1/keys/" + key["id"]).status == 204; }));
  nodes[1].signal(SIGCONT);
  int seen = 0;
  EXPECT_TRUE(eventually([&] {
    seen = ask_second();
    EXPECT_NE(seen, 200);
    return seen == 401;
  })) << seen;
  for (auto& each : early) {
    const auto status = each.status();
    EXPECT_TRUE(status == 503 || status == 401) << each.got();
  }
  EXPECT_TRUE(nodes.settles()) << nodes.why();
}

// Goal: nodes that come into the group at once begin to serve, although the first workspace's name
// is one node's and the workspace another's, and none of them serves before it has a key.
TEST_F(on_own_kafka, nodes_that_come_at_once_make_the_first_key_together) {
  kafka_cluster cluster{{1, {"group.initial.rebalance.delay.ms=3000"}}};
  ASSERT_TRUE(cluster.start()) << cluster.why();
  kafka_nodes_options options;
  options.brokers = cluster.address();
  kafka_nodes nodes{3, options};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  EXPECT_TRUE(nodes.settles()) << nodes.why();
}

// Goal: without brokers a node says so: reads go on with what it knows, writes are refused, nobody
// hears from it that its keys are up to date; and asked to end it ends, within its time.
TEST_F(on_own_kafka, a_node_ends_in_time_without_brokers) {
  kafka_cluster cluster;
  ASSERT_TRUE(cluster.start()) << cluster.why();
  kafka_nodes_options options;
  options.brokers = cluster.address();
  options.flags = {"--runs.drain-seconds", "1", "--workers.lease", "2s"};
  kafka_nodes nodes{1, options};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  nodes.begin_run(200);
  const temp_folder folder;
  const program worker{{RUNLEDGER_BINARY, "worker", "--server",
                        "http://127.0.0.1:" + std::to_string(nodes.port(0)), "--queue", "q",
                        "--work-dir", folder / "work", "--", "true"},
                       {{"RUNLEDGER_API_KEY", nodes.admin_key()}},
                       folder / "worker.printed"};
  ASSERT_TRUE(eventually([&] {
    return nodes.client(0).get("/api/v1/workers").body.find(R"("queue":"q")") != std::string::npos;
  })) << worker.printed();
  ASSERT_TRUE(cluster.pause(1)) << cluster.why();
  http_answer read;
  EXPECT_TRUE(eventually([&] {
    read = nodes.client(0).get("/api/v1/agents");
    return read.status == 200 && read.header("runledger-stale") == "true";
  })) << read.status
      << read.body;
  http_answer write;
  EXPECT_TRUE(eventually([&] {
    write = nodes.client(0).ask("POST", "/api/v1/agents", R"({"name":"in-vain"})");
    EXPECT_EQ(write.status, 503) << write.body;
    return write.body.find("which keys were revoked") != std::string::npos;
  })) << write.body;
  // Its queue goes with the partition, or its key is asked for first.
  EXPECT_TRUE(eventually([&] {
    return worker.printed().find("trying again") != std::string::npos;
  })) << worker.printed();
  const auto refresh = http_client{nodes.port(0)}.ask(
      "POST", "/internal/v1/keys/refresh", {},
      {{"Authorization", http::cluster_trust{cluster_secret_of_tests}.authorization()}});
  EXPECT_EQ(refresh.status, 503) << refresh.body;
  const auto end = nodes[0].stop(seconds{1 + 10});
  ASSERT_TRUE(end) << "it runs on";
  EXPECT_EQ(end->code, 0) << nodes[0].why();
  EXPECT_TRUE(cluster.resume(1));
}

// Goal: whoever joins the group without the cluster's secret is sent nothing: what it was given is
// answered 503 with the reason, the log names it, and it is counted.
TEST_F(on_real_kafka, a_stranger_in_the_group_is_not_believed) {
  kafka_nodes nodes{1};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const int listening = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&at), size), 0);
  ASSERT_EQ(::listen(listening, 8), 0);
  ::getsockname(listening, reinterpret_cast<sockaddr*>(&at), &size);
  kafka::group::options with;
  with.with.brokers = kafka_broker::shared().address();
  with.name = nodes.topics().prefix() + ".owners";
  with.client = "http://127.0.0.1:" + std::to_string(ntohs(at.sin_port)) + "#node-stranger#"
                + std::string(64, '0');
  with.topics = {nodes.topics().prefix() + ".runs"};
  std::atomic<int> given{0};
  with.assigned = [&](const auto& what) { given += static_cast<int>(what.size()); };
  with.revoked = [](const auto&, auto done) { done(); };
  with.lost = [](const auto&) {};
  auto stranger = kafka::group::open(with);
  ASSERT_TRUE(stranger);
  EXPECT_TRUE(eventually([&] { return given > 0; }));
  EXPECT_TRUE(eventually([&] { return nodes.metric(0, "runledger_cluster_strangers") == 1; }));
  int asked = 0;
  http_answer got;
  EXPECT_TRUE(eventually([&] { // The group says a moment later what it was given.
    got = nodes.client(0).ask("POST", "/api/v1/agents/wordcount/runs", start_a_run,
                              {{"Idempotency-Key", "k-" + std::to_string(asked++)}});
    EXPECT_TRUE(got.status == 201 || got.status == 503) << got.body;
    return got.status == 503 && got.body.find("kafka.cluster_secret_file") != std::string::npos;
  })) << got.body;
  EXPECT_NE(nodes[0].printed().find("node-stranger is a member"), std::string::npos) << nodes.why();
  EXPECT_LT(::accept(listening, nullptr, nullptr), 0) << "something was sent to it";
  (*stranger)->leave(std::chrono::steady_clock::now() + seconds{10});
  ::close(listening);
  EXPECT_TRUE(nodes.settles()) << nodes.why();
}

// Goal: a live event stream whose node is killed under it goes on at the other node behind the last
// event that came, without a gap and without one twice.
TEST_F(on_real_kafka, a_live_stream_goes_on_elsewhere) {
  kafka_nodes nodes{2};
  ASSERT_TRUE(nodes.start()) << nodes.why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  nodes.make_agent();
  const auto run = nodes.begin_run(300);
  const auto dying = nodes.runner(), left = 1 - dying;
  const auto target = "/api/v1/runs/" + run + "/log/events";
  slow_caller stream{nodes.port(dying)};
  ASSERT_TRUE(stream.get(target, nodes.admin_key(), "Accept: text/event-stream\r\n"));
  EXPECT_TRUE(stream.read_until([](const std::string& got) { return event_ids(got).size() >= 3; }))
      << stream.got();
  nodes[dying].kill();
  (void)stream.read_until([](const auto&) { return false; }); // What was on its way.
  auto seen = event_ids(stream.got());
  const header_list streaming{{"Accept", "text/event-stream"}};
  const auto rest = [&] {
    auto to = nodes.client(left);
    to.patience(seconds{60});
    return to.get(target, {{"Accept", "text/event-stream"}, {"Last-Event-ID", seen.back()}});
  }(); // Ends with the run.
  EXPECT_EQ(rest.status, 200) << rest.body;
  const auto behind = event_ids(rest.body);
  EXPECT_FALSE(behind.empty()) << "the run had ended before its node was killed";
  seen.insert(seen.end(), behind.begin(), behind.end());
  EXPECT_EQ(nodes.status_of(run, left), "succeeded");
  EXPECT_EQ(seen, event_ids(nodes.client(left).get(target, streaming).body));
}

// Goal: a secret that others on the machine can read is none.
TEST(kafka_nodes, keep_their_secret) {
  temp_folder folder;
  server_options with;
  with.binary = RUNLEDGER_BINARY;
  with.data = folder / "data";
  const auto secret = folder / "cluster.secret";
  write_secret(secret);
  ASSERT_EQ(::chmod(secret.c_str(), 0644), 0);
  with.flags = {"--ledger",
                "kafka",
                "--kafka.brokers",
                "127.0.0.1:1",
                "--kafka.advertise",
                "http://127.0.0.1:8080",
                "--kafka.cluster-secret-file",
                secret};
  server_process server{with};
  server.launch();
  const auto end = server.await_end(seconds{10});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
  EXPECT_NE(server.printed().find("chmod 600 " + secret), std::string::npos) << server.printed();
}

} // namespace runledger::test
