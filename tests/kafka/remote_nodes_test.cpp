// Goal: remote workers of a queue, the queue and the runs may be at three different nodes:
// whichever of them is killed, every run ends, and no step's effect is doubled.

#include "tests/kafka/nodes.hpp"
#include "tests/support/program.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>

namespace runledger::test {

namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;

kafka_nodes_options with_lease(const std::string& lease) {
  kafka_nodes_options out;
  out.flags = {"--workers.lease", lease};
  out.session_timeout = seconds{6}; // Three nodes, workers and harnesses may be slow together.
  return out;
}

/// Three nodes, the agent `remote`, whose runs go to the queue `q`, and workers.
class remote_nodes {
public:
  explicit remote_nodes(const std::string& lease = "30s") : nodes{3, with_lease(lease)} {
    std::filesystem::create_directories(folder / "gates");
  }

  bool start() {
    if (!nodes.start() || !nodes.settles(seconds{60}))
      return false;
    const auto agent = nodes.ask(
        "POST", "/api/v1/agents",
        R"({"name":"remote","slug":"remote","recipe":{"harness":{"kind":"worker","queue":"q",)"
        R"("drain_seconds":5},"retry":{"initial_backoff_ms":10,"jitter":0}}})");
    const auto key = nodes.ask("POST", "/api/v1/keys", R"({"name":"worker","scopes":["worker"]})");
    EXPECT_EQ(agent.status, 201) << agent.body;
    EXPECT_EQ(key.status, 201) << key.body;
    worker_key_ = key["key"];
    return agent.status == 201 && key.status == 201;
  }

  /// A worker that knows this node first, and then the others.
  std::unique_ptr<program> work(std::size_t first, int slots = 4) {
    const auto name = "worker-" + std::to_string(++workers_);
    std::string servers;
    for (std::size_t i = 0; i < nodes.size(); ++i)
      servers += (i > 0 ? "," : "") + std::string{"http://127.0.0.1:"}
                 + std::to_string(nodes.port((first + i) % nodes.size()));
    return std::make_unique<program>(
        std::vector<std::string>{RUNLEDGER_BINARY, "worker", "--server", servers, "--queue", "q",
                                 "--name", name, "--work-dir", folder / name, "--slots",
                                 std::to_string(slots), "--env",
                                 "CONTRACT_GATES=" + (folder / "gates"), "--env",
                                 "CONTRACT_EFFECTS=" + (folder / "effects"), "--", "python3",
                                 RUNLEDGER_SOURCE_DIR "/tests/support/contract_agent.py"},
        program::variables{{"RUNLEDGER_API_KEY", worker_key_}}, folder / (name + ".printed"));
  }

  std::string begin(const std::string& gate) const {
    const auto begun = nodes.ask("POST", "/api/v1/agents/remote/runs",
                                 R"({"initial_state":{"do":[["step","a"],["gated","b",")" + gate
                                     + R"("],["step","c"]]}})");
    EXPECT_EQ(begun.status, 201) << begun.body;
    return begun["id"];
  }
  void open_gate(const std::string& gate) const {
    std::ofstream{folder / ("gates/" + gate)}.put('x');
  }
  std::string field(const std::string& run, const std::string& name) const {
    return nodes.ask("GET", "/api/v1/runs/" + run)[name];
  }
  /// The first step of each is done, and the second one executes.
  bool all_in_the_middle(const std::vector<std::string>& runs) const {
    return eventually(
        [&] {
          return std::ranges::all_of(runs, [&](const auto& run) {
            return field(run, "steps_completed") == "1" && !executions(run, "b").empty();
          });
        },
        seconds{60});
  }
  void expect_ends(const std::vector<std::string>& runs, const std::string& attempt) {
    for (const auto& run : runs) {
      EXPECT_TRUE(eventually([&] { return field(run, "status") == "succeeded"; }, seconds{60}))
          << run << ' ' << field(run, "status") << '\n'
          << nodes.why();
      EXPECT_EQ(field(run, "attempt"), attempt) << run;
      EXPECT_EQ(field(run, "steps_completed"), "3") << run;
    }
  }
  /// The attempts of a step that harnesses have executed, in their order.
  std::vector<int> executions(const std::string& run, const std::string& key) const {
    std::vector<int> out;
    std::ifstream lines{folder / "effects"};
    std::string what;
    for (int attempt = 0; lines >> what >> attempt;)
      if (what == run + "/" + key)
        out.push_back(attempt);
    return out;
  }
  /// Nothing was done a second time.
  void expect_untouched(const std::vector<std::string>& runs) {
    expect_ends(runs, "1");
    for (const auto& run : runs)
      for (const char* key : {"a", "b", "c"})
        EXPECT_THAT(executions(run, key), ElementsAre(1)) << run << ' ' << key;
  }

  temp_folder folder;
  kafka_nodes nodes;

private:
  std::string worker_key_;
  int workers_ = 0;
};

} // namespace

// Goal: a worker at each of the nodes gets runs of the same queue, which one of them holds.
TEST_F(on_real_kafka, workers_serve_a_queue_at_any_node) {
  remote_nodes w;
  ASSERT_TRUE(w.start()) << w.nodes.why();
  w.open_gate("open");
  for (std::size_t i = 0; i < 3; ++i) {
    auto worker = w.work(i);
    std::vector<std::string> runs;
    for (int k = 0; k < 3; ++k)
      runs.push_back(w.begin("open"));
    w.expect_untouched(runs);
  }
}

// Goal: each node is killed in turn, and with it the queue, runs, the worker's connection: what is
// under way goes on under its leases.
TEST_F(on_real_kafka, killed_nodes_cost_remote_runs_nothing) {
  remote_nodes w;
  ASSERT_TRUE(w.start()) << w.nodes.why();
  auto worker = w.work(0, 8);
  for (std::size_t i = 0; i < 3; ++i) {
    const auto gate = "gate-" + std::to_string(i);
    std::vector<std::string> runs;
    for (int k = 0; k < 6; ++k)
      runs.push_back(w.begin(gate));
    ASSERT_TRUE(w.all_in_the_middle(runs)) << worker->printed();
    w.nodes[i].kill();
    w.open_gate(gate); // Steps end while nobody holds what that node held.
    w.expect_untouched(runs);
    ASSERT_TRUE(w.nodes[i].start()) << w.nodes.why();
    ASSERT_TRUE(w.nodes.settles(seconds{60})) << w.nodes.why();
  }
}

// Goal: a worker that is killed loses its runs to another one at another node, at no cost.
TEST_F(on_real_kafka, killed_worker_at_a_node) {
  remote_nodes w{"3s"};
  ASSERT_TRUE(w.start()) << w.nodes.why();
  auto worker = w.work(0);
  std::vector<std::string> runs;
  for (int k = 0; k < 3; ++k)
    runs.push_back(w.begin("later"));
  ASSERT_TRUE(w.all_in_the_middle(runs)) << worker->printed();
  worker->kill();
  auto second = w.work(1);
  w.open_gate("later");
  w.expect_ends(runs, "2");
  for (const auto& run : runs) {
    EXPECT_THAT(w.executions(run, "a"), ElementsAre(1)) << run;
    EXPECT_THAT(w.executions(run, "b"), ElementsAre(1, 2)) << run << " under one idempotency key";
    EXPECT_THAT(w.executions(run, "c"), ElementsAre(1)) << run;
  }
}

} // namespace runledger::test
