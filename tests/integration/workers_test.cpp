// Goal: runs of a queue are executed by `runledger worker` on another machine (here: in another
// process), whatever happens to it, to its connection and to the server.

#include "tests/integration/worker_world.hpp"

#include <csignal>

namespace runledger::contract {
namespace {

using namespace std::chrono_literals;

// Goal: a run waits in its queue until a worker comes, and is executed there step by step.
TEST(workers, execute_the_runs_of_their_queue) {
  worker_world w;
  ASSERT_TRUE(w.start());
  const auto run = w.begin(R"([["step","a"],["step","b"],["say","hello"]])", "remote")["id"];
  auto asking = w.client();
  EXPECT_EQ(asking.get("/api/v1/runs/" + run + "/explain")["reason"], "waiting_for_worker");
  auto worker = w.work();
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["steps_completed"], "2");
  EXPECT_TRUE(eventually([&] { return w.events_of("queue.lease_released", w.queue) == 1; }));
  EXPECT_EQ(w.events_of("queue.worker_joined", w.queue), 1);
  EXPECT_EQ(w.events_of("queue.lease_granted", w.queue), 1);
}

// Goal: kill -9 of a worker in the middle of a step: its lease expires, the run goes on elsewhere,
// recorded steps do not execute again, and no attempt is used up.
TEST(workers, a_killed_worker_loses_its_run) {
  worker_world w{{"--workers.lease", "2s"}};
  ASSERT_TRUE(w.start());
  auto first = w.work();
  const auto run = w.begin_remote(R"([["step","a"],["gated","b","open"],["step","c"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 2; })) << first->printed();
  first->kill();
  auto second = w.work();
  w.open_gate("open");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << second->printed();
  EXPECT_EQ(ended["attempt"], "2");
  EXPECT_EQ(w.steps_begun(run), 4) << "a and c once, b twice";
  EXPECT_EQ(w.events_of("queue.lease_expired", w.queue), 1);
  EXPECT_EQ(w.events_of("queue.lease_granted", w.queue), 2);
  EXPECT_EQ(w.events_of("queue.worker_left", w.queue), 1);
}

// Goal: a second worker in the folder of the first is refused, and does not end its harnesses.
TEST(workers, a_folder_has_one_worker) {
  worker_world w;
  ASSERT_TRUE(w.start());
  const auto shared = w.folder / "shared";
  auto first = w.work({}, shared);
  const auto run = w.begin_remote(R"([["gated","a","open"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 1; })) << first->printed();
  auto second = w.work({}, shared);
  const auto refused = second->await_end();
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, 2);
  EXPECT_NE(second->printed().find("Each worker needs a folder of its own"), std::string::npos)
      << second->printed();
  w.open_gate("open");
  EXPECT_EQ(w.end_of(run)["attempt"], "1");
}

// Goal: kill -9 of the server: the worker comes back, and the attempt goes on where it was.
TEST(workers, a_killed_server_costs_a_remote_run_nothing) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  const auto run = w.begin_remote(R"([["step","a"],["gated","b","open"],["step","c"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 2; })) << worker->printed();
  w.server.kill();
  w.open_gate("open"); // The step ends while there is no server.
  ASSERT_TRUE(w.start());
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["attempt"], "1");
  EXPECT_EQ(w.steps_begun(run), 3);
  EXPECT_EQ(w.events_of("queue.lease_granted", w.queue), 1);
}

// Goal: a worker that is stopped for longer than its lease has lost the run; what it says of it
// when it wakes up counts for nothing, it is told so, and it serves on.
TEST(workers, a_stopped_worker_is_told_that_its_lease_is_lost) {
  worker_world w{{"--workers.lease", "2s"}};
  ASSERT_TRUE(w.start());
  auto stopped = w.work();
  const auto run = w.begin_remote(R"([["gated","a","open"],["gated","b","later"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 1; })) << stopped->printed();
  stopped->signal(SIGSTOP);
  ASSERT_TRUE(w.await_events("queue.lease_expired", w.queue, 1));
  auto second = w.work();
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 2; })) << second->printed();
  w.open_gate("open"); // For both: the stopped one's harness is not stopped.
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 3; })) << second->printed();
  stopped->signal(SIGCONT);
  const auto told = [&] { return stopped->printed().find("over here") != std::string::npos; };
  EXPECT_TRUE(eventually(told)) << stopped->printed();
  w.open_gate("later");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["attempt"], "2");
  EXPECT_EQ(w.events_of("run.step_completed", run), 2);
  second->kill();
  const auto next = w.begin_remote(R"([["step","a"]])");
  EXPECT_EQ(w.end_of(next)["status"], "succeeded") << stopped->printed();
}

// Goal: a connection that is cut costs nothing within the lease.
TEST(workers, a_cut_connection_is_resumed) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  const auto run = w.begin_remote(
      R"([["step","a"],["gated","b","one"],["flaky","c",2],["gated","d","two"],["say","end"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 2; })) << worker->printed();
  w.way.cut();
  w.open_gate("one");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 6; })) << worker->printed();
  w.way.cut();
  w.open_gate("two");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["attempt"], "1");
  EXPECT_EQ(w.events_of("queue.lease_granted", w.queue), 1);
  EXPECT_EQ(w.events_of("run.message_emitted", run), 1);
}

// Goal: a run that is cancelled ends in its worker, which serves on.
TEST(workers, a_remote_run_is_cancelled) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  auto asking = w.client();
  const auto started = w.begin(R"([["gated","a","open"],["step","b"]])", "remote");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(started["id"]) == 1; })) << worker->printed();
  EXPECT_EQ(asking.post("/api/v1/sessions/" + started["session_id"] + "/cancel", "").status, 202);
  w.open_gate("open"); // The step in flight may finish.
  EXPECT_EQ(w.end_of(started["id"])["status"], "cancelled");
  EXPECT_EQ(w.events_of("run.step_completed", started["id"]), 1);
  EXPECT_EQ(w.end_of(w.begin_remote(R"([["step","a"]])"))["status"], "succeeded");
}

// Goal: SIGTERM: no new runs, those in flight finish, and the worker is gone cleanly.
TEST(workers, a_draining_worker_finishes_what_it_has) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work({"--slots", "2"});
  const auto run = w.begin_remote(R"([["gated","a","open"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 1; })) << worker->printed();
  worker->signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return worker->printed().find("draining") != std::string::npos; }));
  w.open_gate("open");
  EXPECT_EQ(w.end_of(run)["status"], "succeeded");
  const auto end = worker->await_end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0) << worker->printed();
  EXPECT_TRUE(w.await_events("queue.worker_left", w.queue, 1));
  EXPECT_EQ(w.events_of("queue.lease_expired", w.queue), 0);
}

// Goal: what does not finish within the drain time is given back and goes on elsewhere, at once and
// without using up an attempt.
TEST(workers, a_drain_that_takes_too_long_gives_the_run_back) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto first = w.work({"--drain-seconds", "1"});
  const auto run = w.begin_remote(R"([["step","a"],["gated","b","open"]])");
  ASSERT_TRUE(eventually([&] { return w.steps_begun(run) == 2; })) << first->printed();
  first->signal(SIGTERM);
  ASSERT_TRUE(w.await_events("queue.lease_released", w.queue, 1));
  auto second = w.work();
  w.open_gate("open");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body;
  EXPECT_EQ(ended["attempt"], "2");
  EXPECT_EQ(w.events_of("queue.lease_expired", w.queue), 0);
}

// Goal: `--once` serves one run; its worker is on the list of workers, busy and then gone.
TEST(workers, once_is_one_run) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto first = w.begin_remote(R"([["gated","a","open"]])"),
             second = w.begin_remote(R"([["step","a"]])");
  auto worker = w.work({"--once"});
  const auto status = [&] {
    for (const auto& one : json_elements(asking.get("/api/v1/workers").body))
      if (json_at(one, "queue") == "q")
        return json_at(one, "status") + ' ' + json_at(one, "leases");
    return std::string{};
  };
  EXPECT_TRUE(eventually([&] { return status() == "busy 1"; })) << status();
  w.open_gate("open");
  EXPECT_EQ(w.end_of(first)["status"], "succeeded");
  const auto end = worker->await_end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0) << worker->printed();
  EXPECT_TRUE(eventually([&] { return status() == "gone 0"; })) << status();
  EXPECT_EQ(asking.get("/api/v1/runs/" + second)["status"], "pending");
}

// Goal: a harness that ends without a word fails its attempt, which counts.
TEST(workers, a_harness_that_exits_fails_its_attempt) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  const auto ended = w.end_of(w.begin_remote(R"([["step","a"],["exit",3,1],["step","b"]])"));
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["attempt"], "2");
  EXPECT_EQ(w.events_of("run.step_started", ended["id"]), 2);
  const auto failed = w.end_of(w.begin_remote(R"([["error","no","mine"]])"));
  EXPECT_EQ(failed["error.code"], "mine");
}

// Goal: inputs and outputs that do not fit into a frame reach the harness as files.
TEST(workers, large_members_travel_as_files) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  auto asking = w.client();
  const auto prompt = std::string(300'000, 'p');
  const auto started = asking.post("/api/v1/agents/remote/runs", R"({"prompt":")" + prompt + "\"}");
  ASSERT_EQ(started.status, 201);
  const auto ended = w.end_of(started["id"]);
  EXPECT_EQ(ended["status"], "succeeded") << worker->printed();
  EXPECT_EQ(ended["result"], prompt);
  // The second attempt gets the large output of the first from the record.
  const auto again = w.end_of(w.begin_remote(R"([["large","a",400000],["exit",1,1]])"));
  EXPECT_EQ(again["status"], "succeeded") << again.body << worker->printed();
  EXPECT_EQ(w.events_of("run.step_started", again["id"]), 1);
}

// Goal: a worker's key serves the queues of its own workspace, and a reader's serves none.
TEST(workers, a_key_opens_its_own_workspace) {
  worker_world w;
  ASSERT_TRUE(w.start());
  w.worker_key = w.make_key(R"("worker")", w.make_workspace());
  auto stranger = w.work();
  ASSERT_TRUE(eventually([&] {
    return stranger->printed().find("serving queue q") != std::string::npos;
  })) << stranger->printed();
  const auto run = w.begin_remote(R"([["step","a"]])");
  w.worker_key = w.make_key(R"("read")");
  auto reader = w.work();
  const auto end = reader->await_end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
  EXPECT_NE(reader->printed().find("scope `worker`"), std::string::npos) << reader->printed();
  auto asking = w.client();
  EXPECT_EQ(asking.get("/api/v1/runs/" + run)["status"], "pending");
}

/// The example worker, which needs nothing but Python.
std::unique_ptr<test::program> python_worker(const worker_world& w, const std::string& name) {
  return std::make_unique<test::program>(
      std::vector<std::string>{"/usr/bin/python3", "-B",
                               RUNLEDGER_SOURCE_DIR "/examples/workers/python/worker.py", w.url(),
                               "q"},
      test::program::variables{{"RUNLEDGER_API_KEY", w.worker_key}},
      w.folder / (name + ".printed"));
}

// Goal: the example in plain Python serves a queue over plain requests, and survives the end of the
// server between two runs.
TEST(workers, the_example_in_python_serves_a_queue) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = python_worker(w, "python");
  const auto prompt = [&](const std::string& text) {
    auto asking = w.client();
    return asking.post("/api/v1/agents/remote/runs",
                       R"({"prompt":)" + json_quoted(text) + "}")["id"];
  };
  const auto ended = w.end_of(prompt("one two\nthree\n\nfour five six"));
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << worker->printed();
  EXPECT_EQ(ended["result.words"], "6");
  EXPECT_EQ(ended["steps_completed"], "4");
  w.server.kill();
  ASSERT_TRUE(w.start());
  const auto again = w.end_of(prompt("one more"));
  EXPECT_EQ(again["status"], "succeeded") << again.body << worker->printed();
  worker->signal(SIGTERM);
  const auto end = worker->await_end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 0) << worker->printed();
  EXPECT_TRUE(w.await_events("queue.worker_left", w.queue, 1));
}

// Goal: kill -9 of the example in Python in the middle of a run: another one goes on behind the
// recorded steps.
TEST(workers, the_example_in_python_may_die) {
  worker_world w{{"--workers.lease", "2s"}};
  ASSERT_TRUE(w.start());
  auto first = python_worker(w, "first");
  auto asking = w.client();
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "one two\n";
  const auto run =
      asking.post("/api/v1/agents/remote/runs", R"({"prompt":)" + json_quoted(text) + "}")["id"];
  ASSERT_TRUE(w.await_events("run.step_completed", run, 3)) << first->printed();
  first->kill();
  auto second = python_worker(w, "second");
  const auto ended = w.end_of(run);
  EXPECT_EQ(ended["status"], "succeeded") << ended.body << second->printed();
  EXPECT_EQ(ended["result.words"], "80");
  EXPECT_EQ(w.events_of("run.step_completed", run), 40);
  EXPECT_LE(w.steps_begun(run), 41) << "one may have been cut off";
}

// Goal: what a remote harness publishes can be downloaded, in its place among the frames.
TEST(workers, artifacts_come_home) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto worker = w.work();
  const auto ended = w.end_of(w.begin_remote(
      R"([["artifact","a.txt","made there","text/plain"],["say","behind"],["artifact","b","2"]])"));
  ASSERT_EQ(ended["artifact_count"], "2") << ended.body << worker->printed();
  auto asking = w.client();
  const auto all = json_elements(asking.get("/api/v1/runs/" + ended["id"] + "/artifacts").body);
  const auto one = where(all, "name", "a.txt");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(asking.get("/api/v1/artifacts/" + json_at(one[0], "id")).body, "made there");
  EXPECT_EQ(w.events_of("run.message_emitted", ended["id"]), 1);
}

// Goal: a key that is revoked ends the connection that it opened.
TEST(workers, a_revoked_key_ends_its_connection) {
  worker_world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto made = asking.post("/api/v1/keys", R"({"name":"w","scopes":["worker"]})");
  w.worker_key = made["key"];
  auto worker = w.work();
  ASSERT_TRUE(w.await_events("queue.worker_joined", w.queue, 1)) << worker->printed();
  EXPECT_EQ(asking.ask("DELETE", "/api/v1/keys/" + made["id"]).status, 204);
  const auto end = worker->await_end();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2) << worker->printed();
}

} // namespace
} // namespace runledger::contract
