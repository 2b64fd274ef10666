#include "tests/integration/contract_world.hpp"

#include <filesystem>
#include <fstream>

/// Forks: a new run with the recorded outcomes of the steps before a place of another run.
namespace runledger::contract {

namespace {

/// Steps that note each of their executions in a file outside of the sandbox, by their idempotency
/// key. The state: {"steps": [[key, output or null], ...]}; null fails for good, and the agent goes
/// on without; ["key", 1, "gate"] lasts until the gate is open. The run's first attempt fails
/// before a step ["key", 1, "", "fail"].
constexpr const char* counting_agent = R"(import os, time, runledger_agent as ra
def main(run):
    outputs = []
    for key, output, gate, fail in ((s + ["", ""])[:4] for s in run.initial_state["steps"]):
        def execute():
            with open("/effects/executions", "a") as file:
                file.write(run.idempotency_key() + "\n")
            while gate and not os.path.exists("/effects/" + gate):
                time.sleep(0.01)
            if output is None:
                raise ra.AgentError("no such luck", code="unlucky")
            return "x" * output
        if fail and run.attempt == 1:
            raise ra.AgentError("first attempts fail", retryable=True)
        try:
            outputs.append(run.step(key, execute))
        except ra.StepGivenUp as error:
            outputs.append(str(error))
    return [len(o) if o.startswith("x") else o for o in outputs]
ra.serve(main)
)";

/// A world with that agent.
struct fork_world : world {
  std::string agent;

  bool start() {
    const bool first = key.empty();
    std::filesystem::create_directories(folder / "effects");
    if (!world::start())
      return false;
    if (first)
      agent = make_agent("counting", counting_recipe());
    return true;
  }

  std::string counting_recipe() const {
    const auto sdk =
        test::read_whole_file(RUNLEDGER_SOURCE_DIR "/examples/agents/python/runledger_agent.py");
    return R"({"harness":{"kind":"process","files":{"agent.py":)" + json_quoted(counting_agent)
           + R"(,"runledger_agent.py":)" + json_quoted(sdk) + R"(},"mounts":[{"source":)"
           + json_quoted(folder / "effects") + R"(,"target":"/effects","mode":"rw"}],)"
           + R"("command":["python3","/agent/agent.py"]},)"
           + R"("retry":{"initial_backoff_ms":10,"jitter":0}})";
  }

  /// Starts a run with these steps: `[["a",1],["b",2]]`.
  http_answer begin_steps(const std::string& steps) const {
    auto asking = client();
    auto begun =
        asking.post("/api/v1/agents/counting/runs", R"({"initial_state":{"steps":)" + steps + "}}");
    EXPECT_EQ(begun.status, 201) << begun.body;
    return begun;
  }
  http_answer fork(const std::string& run, const std::string& at,
                   const header_list& more = {}) const {
    auto asking = client();
    return asking.post("/api/v1/runs/" + run + "/fork", R"({"at":)" + json_quoted(at) + "}", more);
  }
  /// The keys of the steps that the run has executed, in order.
  std::string executed(const std::string& run) const {
    std::ifstream file{folder / "effects/executions"};
    std::string out;
    for (std::string line; std::getline(file, line);)
      if (line.starts_with(run + '/'))
        out += (out.empty() ? "" : ",") + line.substr(run.size() + 1);
    return out;
  }
  void open_effect_gate(const std::string& name) const {
    std::ofstream{folder / ("effects/" + name)};
  }
};

fork_world& forks() {
  static fork_world one;
  static const bool up = one.start();
  if (!up)
    std::abort();
  return one;
}

// Small and large outputs (over 256 KiB: a blob), and a step that failed for good.
const char* const five_steps = R"([["a",1],["b",300000],["c",null],["d",4],["e",5]])";
const char* const five_results = R"([1,300000,"step c: no such luck",4,5])";

} // namespace

TEST(contract_fork, executes_only_what_follows) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(five_steps)["id"]);
  ASSERT_EQ(parent["result"], five_results) << parent.body;
  const auto made = w.fork(parent["id"], "d");
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(member_names(made.body), member_names(parent.body));
  EXPECT_EQ(made["status"], "pending");
  EXPECT_EQ(made["parent_run_id"], parent["id"]);
  EXPECT_EQ(made["initial_state"], parent["initial_state"]);
  EXPECT_EQ(made["trigger"], "manual");
  EXPECT_EQ(made["agent_version"], "1");
  EXPECT_NE(made["session_id"], parent["session_id"]);
  const auto fork = w.end_of(made["id"]);
  EXPECT_EQ(fork["result"], five_results) << fork.body;
  EXPECT_EQ(fork["parent_run_id"], parent["id"]);
  EXPECT_EQ(fork["steps_completed"], "2") << "only its own";
  EXPECT_EQ(w.executed(fork["id"]), "d,e");
  EXPECT_EQ(w.executed(parent["id"]), "a,b,c,d,e") << "the parent is as it was";
  EXPECT_EQ(w.events_of("run.step_started", fork["id"]), 2);
  EXPECT_EQ(w.end_of(parent["id"]).body, parent.body);
}

TEST(contract_fork, at_the_first_step_everything_is_executed) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(R"([["a",1],["b",2]])")["id"]);
  const auto fork = w.end_of(w.fork(parent["id"], "a")["id"]);
  EXPECT_EQ(fork["result"], "[1,2]") << fork.body;
  EXPECT_EQ(w.executed(fork["id"]), "a,b");
}

TEST(contract_fork, of_a_fork_needs_no_run_in_between) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(five_steps)["id"]);
  const auto fork = w.end_of(w.fork(parent["id"], "e")["id"]);
  // At a step that the fork had inherited, and at one of its own.
  for (const auto& [at, executed] :
       {std::pair{"b", "b,c,d,e"}, std::pair{"d", "d,e"}, std::pair{"e", "e"}}) {
    const auto second = w.end_of(w.fork(fork["id"], at)["id"]);
    EXPECT_EQ(second["result"], five_results) << second.body;
    EXPECT_EQ(w.executed(second["id"]), executed);
    EXPECT_EQ(second["parent_run_id"], fork["id"]);
  }
}

// A parent that still runs: what it has recorded is taken, what it does later is its own affair.
TEST(contract_fork, of_a_run_that_runs) {
  auto& w = forks();
  const auto parent = w.begin_steps(R"([["a",1],["b",2,"later"]])");
  ASSERT_TRUE(eventually([&] { return w.executed(parent["id"]) == "a,b"; }));
  const auto fork = w.fork(parent["id"], "b");
  ASSERT_EQ(fork.status, 201) << fork.body;
  ASSERT_TRUE(eventually([&] { return w.executed(fork["id"]) == "b"; })) << w.executed(fork["id"]);
  w.open_effect_gate("later");
  EXPECT_EQ(w.end_of(fork["id"])["result"], "[1,2]");
  EXPECT_EQ(w.end_of(parent["id"])["result"], "[1,2]");
}

TEST(contract_fork, a_later_attempt_executes_nothing_of_it_either) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(R"([["a",1],["b",2],["c",3,"","fail"]])")["id"]);
  ASSERT_EQ(parent["attempt"], "2") << parent.body;
  const auto fork = w.end_of(w.fork(parent["id"], "b")["id"]);
  EXPECT_EQ(fork["attempt"], "2") << "its own first attempt fails too";
  EXPECT_EQ(fork["result"], "[1,2,3]") << fork.body;
  EXPECT_EQ(w.executed(fork["id"]), "b,c");
}

TEST(contract_fork, outlives_the_server) {
  fork_world w;
  ASSERT_TRUE(w.start());
  const auto parent = w.end_of(w.begin_steps(five_steps)["id"]);
  const header_list keyed{{"Idempotency-Key", "once"}};
  const auto fork = w.fork(parent["id"], "d", keyed);
  const auto slow = w.begin_steps(R"([["a",1],["b",2],["c",3,"open"]])");
  ASSERT_TRUE(eventually([&] { return w.executed(slow["id"]) == "a,b,c"; }));
  const auto cut = w.fork(slow["id"], "c");
  ASSERT_TRUE(eventually([&] { return w.executed(cut["id"]) == "c"; }));
  w.server.kill();
  ASSERT_TRUE(w.start());
  const auto again = w.fork(parent["id"], "d", keyed);
  EXPECT_EQ(again["id"], fork["id"]);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  w.open_effect_gate("open");
  EXPECT_EQ(w.end_of(cut["id"])["result"], "[1,2,3]");
  EXPECT_EQ(w.executed(cut["id"]), "c,c") << "what was in flight, once more; nothing before it";
  EXPECT_EQ(w.end_of(fork["id"])["result"], five_results);
  EXPECT_EQ(w.executed(fork["id"]).find_first_of("abc"), std::string::npos);
}

TEST(contract_fork, of_an_archived_version_runs_that_version) {
  auto& w = forks();
  const auto slug = world::unique("retired");
  w.make_agent(slug, w.counting_recipe());
  auto asking = w.client();
  const auto begun = asking.post("/api/v1/agents/" + slug + "/runs",
                                 R"({"initial_state":{"steps":[["a",1],["b",2]]}})");
  const auto parent = w.end_of(begun["id"]);
  ASSERT_EQ(
      asking.ask("PATCH", "/api/v1/agents/" + slug + "/versions/1", R"({"status":"archived"})")
          .status,
      200);
  const auto fork = w.end_of(w.fork(parent["id"], "b")["id"]);
  EXPECT_EQ(fork["result"], "[1,2]") << fork.body;
  EXPECT_EQ(fork["agent_version"], "1");
}

TEST(contract_fork, is_waited_for) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(R"([["a",1],["b",2]])")["id"]);
  const auto fork = w.fork(parent["id"], "b", {{"Prefer", "wait=20"}});
  EXPECT_EQ(fork.status, 201);
  EXPECT_EQ(fork.header("Preference-Applied"), "wait=20");
  EXPECT_EQ(fork["status"], "succeeded") << fork.body;
  EXPECT_EQ(fork["steps_completed"], "1");
}

TEST(contract_fork, is_refused_with_its_reason) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(R"([["a",1],["b",2]])")["id"]);
  const auto sessions = w.events_of("session.turn_accepted");
  expect_invalid(w.fork(parent["id"], "nope"), R"(["body","at"])");
  EXPECT_EQ(w.fork(parent["id"], "nope")["code"], "unknown_step");
  expect_invalid(w.fork(parent["id"], ""), R"(["body","at"])");
  expect_invalid(w.fork(parent["id"], std::string(201, 'k')), R"(["body","at"])");
  auto asking = w.client();
  const auto target = "/api/v1/runs/" + parent["id"] + "/fork";
  expect_invalid(asking.post(target, "{}"), R"(["body","at"])");
  expect_invalid(asking.post(target, R"({"at":7})"), R"(["body","at"])");
  expect_problem(asking.post(target, "{"), 400, "malformed_json");
  for (const auto& unknown : {std::string{"run_01ARZ3NDEKTSV4RRFFQ69G5FAV"}, std::string{"x"},
                              parent["session_id"], w.agent})
    expect_problem(w.fork(unknown, "a"), 404, "not_found");
  const auto elsewhere = w.make_key(R"("write")", w.make_workspace());
  expect_problem(w.client(elsewhere).post(target, R"({"at":"b"})"), 404, "not_found");
  expect_problem(w.client(w.make_key(R"("read")")).post(target, R"({"at":"b"})"), 403, "forbidden");
  expect_problem(w.client("rlk_nonsense").post(target, R"({"at":"b"})"), 401, "unauthorized");
  EXPECT_EQ(w.events_of("session.turn_accepted"), sessions) << "a refusal changes nothing";
}

// A run that waits in the queue has no event of its own yet.
TEST(contract_fork, of_a_pending_run_has_no_place) {
  fork_world w;
  w.server.options().flags.insert(w.server.options().flags.end(), {"--runs.max-running", "1"});
  ASSERT_TRUE(w.start());
  const auto first = w.begin_steps(R"([["a",1,"gate"]])");
  ASSERT_TRUE(eventually([&] { return w.executed(first["id"]) == "a"; }));
  const auto waits = w.begin_steps(R"([["a",1]])");
  const auto refused = w.fork(waits["id"], "a");
  expect_invalid(refused, R"(["body","at"])");
  EXPECT_EQ(refused["code"], "unknown_step");
  w.open_effect_gate("gate");
  EXPECT_EQ(w.end_of(waits["id"])["status"], "succeeded");
}

TEST(contract_fork, the_same_key_makes_the_same_fork) {
  auto& w = forks();
  const auto parent = w.end_of(w.begin_steps(R"([["a",1],["b",2]])")["id"]);
  const header_list keyed{{"Idempotency-Key", world::unique("fork")}};
  const auto first = w.fork(parent["id"], "b", keyed);
  ASSERT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(first.header("Idempotent-Replayed"), "");
  const auto again = w.fork(parent["id"], "b", keyed);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.header("Idempotent-Replayed"), "true");
  expect_problem(w.fork(parent["id"], "a", keyed), 422, "idempotency_conflict");
  const auto other = w.end_of(w.begin_steps(R"([["a",1],["b",2]])")["id"]);
  EXPECT_NE(w.fork(other["id"], "b", keyed)["id"], first["id"]) << "another run, another fork";
  // A refused call does not use the key up.
  const header_list fresh{{"Idempotency-Key", world::unique("fork")}};
  EXPECT_EQ(w.fork(parent["id"], "nope", fresh).status, 422);
  EXPECT_EQ(w.fork(parent["id"], "a", fresh).status, 201);
}

} // namespace runledger::contract
