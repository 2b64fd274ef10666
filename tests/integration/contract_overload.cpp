// Goal: the server takes as much as its settings say, from everybody in turn, and says so to the
// rest.

#include "tests/integration/contract_world.hpp"

#include <algorithm>
#include <mutex>
#include <set>
#include <thread>

namespace runledger::contract {

namespace {

constexpr std::size_t places = 20;
const std::string start_target = "/api/v1/agents/solo/runs";

/// Requests of one kind, and what came of them.
struct tally {
  std::mutex lock;
  std::set<std::string> accepted;
  std::vector<std::pair<std::string, std::string>> keys; ///< Of accepted ones, with their run.
  std::size_t refused = 0;
  std::vector<std::string> strange;

  void count(const http_answer& got, const std::string& key) {
    const std::lock_guard held{lock};
    if (got.status == 201 || got.status == 202) {
      accepted.insert(got["run_id"]);
      if (!key.empty())
        keys.emplace_back(key, got["run_id"]);
    } else if (got.status == 429 && got["code"] == "queue_full"
               && !got.header("Retry-After").empty()) {
      ++refused;
    } else {
      strange.push_back(std::to_string(got.status) + ' ' + got.body);
    }
  }
};

/// Starts and messages from many connections at once; each key is used by two of them.
void rush(const world& w, const std::string& session, tally& out) {
  std::vector<std::thread> callers;
  for (int n = 0; n < 12; ++n)
    callers.emplace_back([&, n] {
      auto asking = w.client();
      for (int i = 0; i < 10; ++i) {
        const auto key =
            i % 2 == 0 ? std::string{} : "rush-" + std::to_string(n / 2) + '-' + std::to_string(i);
        const header_list more =
            key.empty() ? header_list{} : header_list{{"Idempotency-Key", key}};
        const auto got = i % 3 == 0 ? asking.post("/api/v1/sessions/" + session + "/messages",
                                                  R"({"message":"m"})", more)
                                    : asking.post(start_target, R"({"prompt":"p"})", more);
        out.count(got, key);
      }
    });
  for (auto& each : callers)
    each.join();
}

/// A run that holds the only slot until the gate opens.
http_answer block(const world& w, const std::string& gate) {
  auto asking = w.client();
  const auto run = w.begin(R"([["wait",")" + gate + R"("]])", "solo");
  EXPECT_TRUE(
      eventually([&] { return asking.get("/api/v1/runs/" + run["id"])["status"] == "running"; }));
  return run;
}

} // namespace

TEST(contract_overload, the_queue_takes_exactly_what_it_may) {
  world w{{"--runs.max-queued", std::to_string(places), "--runs.max-running", "1"}};
  ASSERT_TRUE(w.start());
  const auto blocker = block(w, "go");
  tally rushed;
  rush(w, blocker["session_id"], rushed);
  EXPECT_TRUE(rushed.strange.empty()) << rushed.strange.front();
  EXPECT_EQ(rushed.accepted.size(), places);
  EXPECT_GT(rushed.refused, 0U);
  auto asking = w.client();
  EXPECT_EQ(metric(asking, "runledger_waiting_runs"), double{places});

  // What was accepted is known, whatever the level.
  for (const auto& [key, run] : rushed.keys) {
    const bool message = (key.back() - '0') % 3 == 0;
    const auto again =
        message ? asking.post("/api/v1/sessions/" + blocker["session_id"] + "/messages",
                              R"({"message":"m"})", {{"Idempotency-Key", key}})
                : asking.post(start_target, R"({"prompt":"p"})", {{"Idempotency-Key", key}});
    EXPECT_EQ(again["run_id"], run) << again.body;
    EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  }

  // The cancelled session's messages leave the queue; so many others get in, and no more.
  const auto count_in_session =
      json_elements(asking.get("/api/v1/sessions/" + blocker["session_id"])["runs"]).size() - 1;
  ASSERT_GT(count_in_session, 0U);
  const auto other = *std::ranges::find_if(rushed.accepted, [&](const std::string& run) {
    return asking.get("/api/v1/runs/" + run)["session_id"] != blocker["session_id"];
  });
  ASSERT_EQ(
      asking
          .post("/api/v1/sessions/" + asking.get("/api/v1/runs/" + other)["session_id"] + "/cancel",
                "")
          .status,
      202);
  ASSERT_TRUE(eventually([&] { return metric(asking, "runledger_waiting_runs") == places - 1; }));
  tally second;
  rush(w, blocker["session_id"], second);
  EXPECT_TRUE(second.strange.empty()) << second.strange.front();
  std::size_t fresh = 0;
  for (const auto& run : second.accepted)
    fresh += rushed.accepted.contains(run) ? 0 : 1;
  EXPECT_EQ(fresh, 1U);

  w.open_gate("go");
  ASSERT_TRUE(eventually([&] { return metric(asking, "runledger_waiting_runs") == 0; }));
  EXPECT_EQ(asking.post(start_target, R"({"prompt":"p"})").status, 201);
}

TEST(contract_overload, workspaces_take_turns) {
  world w{{"--runs.max-running", "1"}};
  ASSERT_TRUE(w.start());
  block(w, "go");
  auto loud = w.client();
  auto quiet = w.client(w.make_key(R"("write")", w.make_workspace()));
  ASSERT_EQ(quiet.post("/api/v1/agents", R"({"name":"solo","recipe":)" + w.recipe() + "}").status,
            201);
  std::vector<std::string> flood, few;
  for (int i = 0; i < 12; ++i)
    flood.push_back(loud.post(start_target, R"({"prompt":"loud"})")["id"]);
  for (int i = 0; i < 3; ++i)
    few.push_back(quiet.post(start_target, R"({"prompt":"quiet"})")["id"]);
  w.open_gate("go");
  for (const auto& run : flood)
    EXPECT_EQ(w.end_of(run)["status"], "succeeded");

  std::vector<std::string> loud_order, quiet_order;
  std::vector<std::size_t> before; // Runs of the flood that began before each of the few.
  for (const auto& run : w.streams_with("run.started")) {
    if (std::ranges::find(few, run) != few.end()) {
      quiet_order.push_back(run);
      before.push_back(loud_order.size());
    } else if (std::ranges::find(flood, run) != flood.end()) {
      loud_order.push_back(run);
    }
  }
  EXPECT_EQ(loud_order, flood) << "first in, first out";
  EXPECT_EQ(quiet_order, few);
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_LE(before[i], i + 1) << "the few wait for one of the flood at a time";
}

TEST(contract_overload, connections_are_bounded) {
  world w{{"--http.max-connections", "6", "--http.max-connections-per-address", "4"}};
  ASSERT_TRUE(w.start());
  std::vector<std::unique_ptr<http_client>> held;
  const auto come = [&](const std::string& from) {
    held.push_back(std::make_unique<http_client>(w.server.port(), w.key));
    held.back()->come_from(from);
    return held.back()->get("/livez");
  };
  const auto refused = [](const http_answer& got, int status) {
    expect_problem(got, status, "too_many_connections");
    EXPECT_FALSE(got.header("Retry-After").empty());
    EXPECT_EQ(got.header("Connection"), "close");
  };
  // Connections of the start may still be ending.
  ASSERT_TRUE(eventually([&] {
    held.clear();
    for (int i = 0; i < 4; ++i)
      if (come("127.0.0.1").status != 200)
        return false;
    return true;
  }));
  refused(come("127.0.0.1"), 429);
  EXPECT_EQ(come("127.0.0.2").status, 200) << "another address";
  EXPECT_EQ(come("127.0.0.2").status, 200);
  refused(come("127.0.0.3"), 503);
  held.clear();
  EXPECT_TRUE(eventually([&] {
    held.clear();
    return come("127.0.0.3").status == 200;
  }));
}

TEST(contract_overload, a_trusted_proxy_speaks_for_its_clients) {
  world w{{"--http.max-connections-per-address", "4", "--http.trusted-proxies", "127.0.0.2"}};
  w.server.options().flags.insert(w.server.options().flags.end(), {"--log.level", "debug"});
  ASSERT_TRUE(w.start());
  auto direct = w.client();
  const auto run =
      direct.post("/api/v1/agents/told/runs", R"({"prompt":"x"})", {{"Prefer", "wait=30"}})["id"];
  const auto target = "/api/v1/runs/" + run + "/log";
  const header_list says = {{"X-Forwarded-For", "203.0.113.9"}, {"X-Forwarded-Proto", "https"}};
  EXPECT_EQ(direct.get(target, says)["url"].substr(0, 7), "http://") << "nobody asked it";
  std::vector<std::unique_ptr<http_client>> held;
  for (int i = 0; i < 6; ++i) { // More connections than one client may have.
    held.push_back(std::make_unique<http_client>(w.server.port(), w.key));
    held.back()->come_from("127.0.0.2");
    EXPECT_EQ(held.back()->get(target, says)["url"].substr(0, 8), "https://");
  }
  EXPECT_TRUE(eventually([&] {
    return w.server.printed().find("GET /api/v1/runs/{run}/log 200") != std::string::npos
           && w.server.printed().find("client 203.0.113.9") != std::string::npos;
  })) << w.server.printed();

  w.server.stop();
  w.server.options().flags.insert(w.server.options().flags.end(),
                                  {"--http.trusted-proxies", "10.0.0.0/33"});
  w.server.launch();
  const auto ended = w.server.await_end(std::chrono::seconds{30});
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 2);
  EXPECT_NE(w.server.printed_now().find("--http.trusted-proxies: `http.trusted_proxies`: "
                                        "\"10.0.0.0/33\" is no address or network"),
            std::string::npos)
      << w.server.printed_now();
}

} // namespace runledger::contract
