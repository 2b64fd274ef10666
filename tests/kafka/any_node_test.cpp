// Goal: any node takes any request, shows what any other has acknowledged, and holds to what any
// other was told of keys, links and logs.

#include "tests/kafka/nodes.hpp"

#include <gtest/gtest.h>

#include <future>

namespace runledger::test {

namespace {

using std::chrono::seconds;

constexpr int several = 12; // Of anything: with three partitions on two nodes, some lie on each.

/// The place behind the host in a URL.
std::string target_of(const std::string& url) {
  return url.substr(url.find('/', url.find("//") + 2));
}

http_answer with_key(const kafka_nodes& nodes, std::size_t at, const std::string& key,
                     const std::string& target) {
  return http_client{nodes.port(at), key}.get(target);
}

} // namespace

class on_two_nodes : public on_real_kafka {
protected:
  void start() {
    ASSERT_TRUE(nodes.start()) << nodes.why();
    ASSERT_TRUE(nodes.settles()) << nodes.why();
    nodes.make_agent();
  }
  kafka_nodes nodes{2};
};

// Goal: whatever is created through one node is there on the other at once, whoever holds it.
TEST_F(on_two_nodes, show_each_others_writes_at_once) {
  start();
  for (int i = 0; i < several; ++i) {
    const auto at = static_cast<std::size_t>(i % 2), other = 1 - at;
    auto here = nodes.client(at), there = nodes.client(other);
    const auto name = "thing-" + std::to_string(i);
    const header_list keyed{{"Idempotency-Key", "key-" + name}};
    const auto agent = here.ask("POST", "/api/v1/agents", R"({"name":")" + name + R"("})", keyed);
    ASSERT_EQ(agent.status, 201) << agent.body;
    EXPECT_EQ(there.get("/api/v1/agents/" + name)["id"], agent["id"]);
    const auto draft = there.ask("POST", "/api/v1/agents/" + name + "/versions",
                                 R"({"recipe":{"harness":{"kind":"process","command":["true"]}}})");
    EXPECT_EQ(draft.status, 201) << draft.body;
    const auto workspace =
        here.ask("POST", "/api/v1/workspaces", R"({"id":"ws-)" + name + R"(","name":"w"})");
    ASSERT_EQ(workspace.status, 201) << workspace.body;
    EXPECT_NE(there.get("/api/v1/workspaces?limit=200").body.find("ws-" + name), std::string::npos);
    const auto key =
        there.ask("POST", "/api/v1/keys",
                  R"({"name":"k","scopes":["read"],"workspace":"ws-)" + name + R"("})");
    ASSERT_EQ(key.status, 201) << key.body;
    EXPECT_EQ(with_key(nodes, at, key["key"], "/api/v1/agents").status, 200);
    const auto run = here.ask("POST", "/api/v1/agents/wordcount/runs",
                              R"({"initial_state":{"file":"ballad.txt"}})", keyed);
    ASSERT_EQ(run.status, 201) << run.body;
    EXPECT_EQ(there.get("/api/v1/runs/" + run["id"])["id"], run["id"]);
    const auto session = run["session_id"];
    const auto message =
        there.ask("POST", "/api/v1/sessions/" + session + "/messages", R"({"content":"more"})");
    EXPECT_EQ(message.status, 202) << message.body;
    const auto again = there.ask("POST", "/api/v1/agents/wordcount/runs",
                                 R"({"initial_state":{"file":"ballad.txt"}})", keyed);
    EXPECT_EQ(again.status, 201) << again.body;
    EXPECT_EQ(again["id"], run["id"]);
  }
}

// Goal: one Idempotency-Key on two nodes at once makes one run.
TEST_F(on_two_nodes, one_key_makes_one_run) {
  start();
  for (int i = 0; i < several; ++i) {
    const header_list keyed{{"Idempotency-Key", "same-" + std::to_string(i)}};
    auto begin = [&](std::size_t at) {
      return std::async(std::launch::async, [&, at] {
        return nodes.client(at).ask("POST", "/api/v1/agents/wordcount/runs",
                                    R"({"initial_state":{"file":"ballad.txt"}})", keyed);
      });
    };
    auto first = begin(0), second = begin(1);
    const auto one = first.get(), other = second.get();
    EXPECT_EQ(one.status, 201) << one.body;
    EXPECT_EQ(other.status, 201) << other.body;
    EXPECT_EQ(one["id"], other["id"]);
  }
}

// Goal: `Prefer: wait` holds through the other node, and a run's signed link and raw log are good
// on both.
TEST_F(on_two_nodes, wait_and_show_logs_on_both) {
  start();
  for (int i = 0; i < several; ++i) {
    const auto at = static_cast<std::size_t>(i % 2);
    const auto run =
        nodes.client(at).ask("POST", "/api/v1/agents/wordcount/runs",
                             R"({"initial_state":{"file":"ballad.txt"}})", {{"Prefer", "wait=30"}});
    ASSERT_EQ(run.status, 201) << run.body;
    EXPECT_EQ(run["status"], "succeeded") << run.body;
    const auto link = nodes.client(0).get("/api/v1/runs/" + run["id"] + "/log");
    ASSERT_EQ(link.status, 200) << link.body;
    const auto target = target_of(link["url"]);
    const auto here = with_key(nodes, 0, {}, target), there = with_key(nodes, 1, {}, target);
    EXPECT_EQ(here.status, 200) << here.body;
    EXPECT_EQ(there.status, 200) << there.body;
    EXPECT_EQ(here.body, there.body);
  }
}

// Goal: a run whose attempts were on two nodes has one raw log, the first attempt's part first,
// whichever node is asked.
TEST_F(on_two_nodes, put_the_parts_of_a_log_together) {
  start();
  const std::string script =
      R"(echo '{\"type\":\"ready\",\"protocol\":1}'; read -r hello; read -r start; )"
      R"(echo by $RUNLEDGER_ATTEMPT >&2; sleep 3; echo '{\"type\":\"result\",\"output\":1}')";
  const auto made = nodes.ask("POST", "/api/v1/agents",
                              R"({"name":"teller","recipe":{"harness":{"kind":"process",)"
                              R"("command":["/bin/sh","-c",")"
                                  + script + R"("]}}})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto run = nodes.ask("POST", "/api/v1/agents/teller/runs", R"({"initial_state":{}})");
  ASSERT_EQ(run.status, 201) << run.body;
  std::size_t dying = 0;
  auto has_log = [&] {
    for (dying = 0; dying < 2; ++dying)
      if (read_whole_file(nodes.data(dying) + "/logs/" + run["id"] + ".log") == "by 1\n")
        return true;
    return false;
  };
  ASSERT_TRUE(eventually(has_log));
  nodes[dying].kill();
  EXPECT_TRUE(eventually([&] { return nodes.status_of(run["id"], 1 - dying) == "succeeded"; },
                         seconds{60}));
  ASSERT_TRUE(nodes[dying].start()) << nodes[dying].why();
  ASSERT_TRUE(nodes.settles()) << nodes.why();
  const auto link = nodes.client(0).get("/api/v1/runs/" + run["id"] + "/log");
  ASSERT_EQ(link.status, 200) << link.body;
  for (std::size_t i = 0; i < 2; ++i) {
    const auto log = with_key(nodes, i, {}, target_of(link["url"]));
    EXPECT_EQ(log.status, 200) << log.body;
    EXPECT_EQ(log.body, "by 1\nby 2\n") << i;
  }
}

// Goal: an event stream is the same on both nodes, and one that was cut on the one goes on on the
// other.
TEST_F(on_two_nodes, stream_events_alike) {
  start();
  const auto run = nodes.begin_run();
  const auto target = "/api/v1/runs/" + run + "/log/events";
  auto stream = [&](std::size_t at, const std::string& after) {
    header_list more{{"Accept", "text/event-stream"}};
    if (!after.empty())
      more.emplace_back("Last-Event-ID", after);
    const auto got = nodes.client(at).get(target, more);
    EXPECT_EQ(got.status, 200) << got.body;
    return got.body.substr(std::min(got.body.find("id: "), got.body.size()));
  };
  const auto one = stream(0, ""), other = stream(1, ""); // Both end with the run.
  EXPECT_EQ(one, other);
  EXPECT_EQ(nodes.status_of(run, 0), "succeeded");
  const auto second = one.find("id: ", one.find("id: ") + 1);
  ASSERT_NE(second, std::string::npos) << one;
  const auto first_id = one.substr(4, one.find('\n') - 4);
  for (std::size_t at : {0U, 1U})
    EXPECT_EQ(stream(at, first_id), one.substr(second));
}

// Goal: once DELETE was answered on one node the key opens nothing on either.
TEST_F(on_two_nodes, refuse_a_revoked_key_at_once) {
  start();
  for (int i = 0; i < several; ++i) {
    const auto at = static_cast<std::size_t>(i % 2);
    const auto key =
        nodes.client(at).ask("POST", "/api/v1/keys", R"({"name":"k","scopes":["read"]})");
    ASSERT_EQ(key.status, 201) << key.body;
    for (std::size_t n : {0U, 1U})
      EXPECT_EQ(with_key(nodes, n, key["key"], "/api/v1/agents").status, 200);
    EXPECT_EQ(nodes.client(1 - at).ask("DELETE", "/api/v1/keys/" + key["id"]).status, 204);
    for (std::size_t n : {0U, 1U})
      EXPECT_EQ(with_key(nodes, n, key["key"], "/api/v1/agents").status, 401);
  }
}

} // namespace runledger::test
