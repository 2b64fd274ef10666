// Goal: a queue and the runs that wait in it live in partitions of different servers: every run
// ends, whichever of the two servers, the line between them or the worker fails.

#include "tests/sim/far_worker.hpp"
#include "tests/sim/queue_wires.hpp"
#include "tests/sim/story.hpp"

#include <numeric>

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::SizeIs;

class stories_queue_lines : public story {
protected:
  stories_queue_lines() : story({{"runs", 2}, {"workers", 1}, {"workspaces", 1}, {"catalog", 1}}) {
    w.settings.lease_ms = 4000;
    w.outside_step = [this] {
      for (auto& one : workers)
        if (one->step())
          return true;
      return wires.step(choose);
    };
  }
  void TearDown() override {
    story::TearDown();
    workers.clear();
  }

  /// The first server holds the runs, the second the queue.
  void begin_apart() {
    begin(R"({"harness":{"kind":"worker","queue":"q","drain_seconds":2},)"
          R"("retry":{"jitter":0,"initial_backoff_ms":100,"max_attempts":1}})");
    release(w.current(), {home});
    runs_at = 0;
    queue_at = start_with({home});
  }
  std::size_t start_with(std::vector<std::uint32_t> partitions) {
    w.settings.partitions = std::move(partitions);
    w.start();
    return w.servers().size() - 1;
  }
  server& at(std::size_t place) { return *w.servers()[place]; }
  std::vector<std::uint32_t> all_but_home() const {
    std::vector<std::uint32_t> out(w.disk.partition_count());
    std::iota(out.begin(), out.end(), 0U);
    std::erase(out, home);
    return out;
  }
  void release(server& which, std::vector<std::uint32_t> partitions) {
    bool done = false;
    w.release(which, std::move(partitions), [&] { done = true; });
    until([&] { return done; }, "the release");
  }
  void take(server& which, std::vector<std::uint32_t> partitions) {
    bool done = false;
    w.take(which, std::move(partitions), [&] { done = true; });
    until([&] { return done; }, "the taking");
  }
  /// The server ends with all that it has, its lines too.
  void die(std::size_t place) {
    w.crash(at(place));
    wires.cut(at(place).number);
  }

  far_worker& work(std::vector<std::string> steps = {"a", "b", "c"}, std::int64_t slots = 2) {
    workers.push_back(std::make_unique<far_worker>(
        w, queue, "worker-" + std::to_string(workers.size()), std::move(steps), slots));
    return *workers.back();
  }
  run_id ask_for_run() {
    auto told = start_run(at(runs_at), ++asked);
    until([&] { return !told->nothing(); }, "the acceptance");
    EXPECT_TRUE(told->accepted());
    return told->accepted() ? (**told).fact->run : run_id{};
  }
  /// A run whose second step executes and does not end.
  run_id begin_run(far_worker& with) {
    with.gates = {"b"};
    const auto run = ask_for_run();
    until([&] { return !executions(run, "b").empty(); }, "the second step");
    settle();
    return run;
  }
  void expect_end(const run_id& run, std::int64_t attempt) {
    until_ended(run);
    EXPECT_EQ(state_of(run).at, run::phase::succeeded) << w.story.tail();
    EXPECT_EQ(state_of(run).attempt, attempt);
    EXPECT_EQ(state_of(run).failures, 0);
    EXPECT_EQ(terminal_events(run), 1);
    until([&] { return leases() == 0; }, "the end of the leases");
  }
  /// Nothing was done a second time.
  void expect_untouched(const run_id& run) {
    expect_end(run, 1);
    for (const char* key : {"a", "b", "c"})
      EXPECT_THAT(executions(run, key), ElementsAre(1)) << key;
  }
  std::size_t leases() {
    w.judge.catch_up();
    const auto* known = w.judge.find(queue);
    return known == nullptr ? 0 : std::get<queue::state>(known->state).leases.size();
  }

  const stream_id queue = queue_stream_of(workspace_id{"default"}, "q");
  const std::uint32_t home = partition_of(queue, queue.value, w.disk.partition_names()).value();
  queue_wires wires{w};
  std::vector<std::unique_ptr<far_worker>> workers;
  std::function<std::size_t(std::size_t)> choose = [](std::size_t) { return 0; };
  std::size_t runs_at = 0, queue_at = 0;
  std::uint64_t asked = 0;
};

// Goal: runs are executed by the workers of a queue that another server holds, one after the other
// and beside each other.
TEST_F(stories_queue_lines, runs_reach_a_queue_elsewhere) {
  begin_apart();
  work();
  std::vector<run_id> runs;
  for (int i = 0; i < 5; ++i)
    runs.push_back(ask_for_run());
  for (const auto& run : runs)
    expect_end(run, 1);
  EXPECT_EQ(count(queue, "queue.lease_granted"), 5U);
  EXPECT_EQ(at(runs_at).actors->counters.waiting_runs.load(), 0U);
  EXPECT_EQ(at(queue_at).actors->counters.queued_runs.load(), 0U);
  EXPECT_EQ(at(queue_at).actors->counters.running_runs.load(), 0U);
}

// Goal: a run that is cancelled while it waits is never leased, and one that runs ends.
TEST_F(stories_queue_lines, runs_elsewhere_are_cancelled) {
  begin_apart();
  auto told = start_run(at(runs_at), 1);
  settle();
  ASSERT_TRUE(told->accepted());
  cancel(at(runs_at), (**told).session);
  until_ended((**told).fact->run);
  auto& worker = work();
  worker.gates = {"b"};
  auto second = start_run(at(runs_at), 2);
  until([&] { return second->accepted() && !executions((**second).fact->run, "b").empty(); },
        "the second run");
  EXPECT_EQ(count(queue, "queue.lease_granted"), 1U);
  cancel(at(runs_at), (**second).session);
  until_ended((**second).fact->run);
  until([&] { return leases() == 0; }, "the end of the lease");
}

// Goal: a line that breaks costs nothing, however often, in the middle of a step or before the
// grant, also if no line can be had for a while.
TEST_F(stories_queue_lines, broken_line_costs_nothing) {
  begin_apart();
  const auto waiting = ask_for_run();
  settle();
  wires.cut();
  auto& worker = work();
  worker.gates = {"b"};
  until([&] { return !executions(waiting, "b").empty(); }, "the second step");
  for (int i = 0; i < 3; ++i) {
    settle();
    wires.cut();
    w.advance(milliseconds{1000});
  }
  wires.away = true;
  wires.cut();
  worker.gates.clear(); // The step ends while there is no line.
  for (int i = 0; i < 20; ++i) {
    settle();
    w.advance(milliseconds{500});
  }
  EXPECT_EQ(state_of(waiting).at, run::phase::running);
  wires.away = false;
  expect_untouched(waiting);
}

// Goal: the same for each message that is lost on the way, one line after the other.
TEST_F(stories_queue_lines, each_message_may_be_lost) {
  begin_apart();
  work();
  for (int lost = 0; lost < 24; ++lost) {
    const auto run = ask_for_run();
    for (int seen = 0; seen <= lost && state_of(run).at != run::phase::succeeded;) {
      if (wires.on_the_way() > 0)
        ++seen;
      if (!one_step())
        w.advance(milliseconds{100});
    }
    wires.cut();
    until_ended(run);
    EXPECT_EQ(state_of(run).at, run::phase::succeeded) << lost;
    EXPECT_EQ(state_of(run).failures, 0) << lost;
    for (const char* key : {"a", "b", "c"})
      EXPECT_THAT(executions(run, key), Each(1)) << lost;
    until([&] { return leases() == 0; }, "the end of the lease");
  }
}

// Goal: the queue's server dies: whoever takes the queue goes on with its leases, and so do run and
// worker.
TEST_F(stories_queue_lines, queue_server_dies) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  die(queue_at);
  worker.gates.clear();
  w.advance(milliseconds{2000});
  settle();
  queue_at = start_with({home});
  expect_untouched(run);
  EXPECT_EQ(count(queue, "queue.lease_granted"), 1U);
}

// Goal: the queue comes to the server of its runs: as if it had always been there; and goes again.
TEST_F(stories_queue_lines, queue_comes_home_and_goes) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  release(at(queue_at), {home});
  take(at(runs_at), {home});
  const auto other = ask_for_run();
  until([&] { return !executions(other, "b").empty(); }, "the other run");
  release(at(runs_at), {home});
  take(at(queue_at), {home});
  settle();
  worker.gates.clear();
  expect_end(other, 1);
  expect_end(run, 1);
  for (const char* key : {"a", "b", "c"})
    EXPECT_THAT(executions(run, key), ElementsAre(1)) << key;
}

// Goal: the runs' server dies: whoever takes them goes on under the same lease.
TEST_F(stories_queue_lines, runs_server_dies) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  die(runs_at);
  worker.gates.clear(); // What the worker says now waits in the queue.
  settle();
  runs_at = start_with(all_but_home());
  expect_untouched(run);
  EXPECT_EQ(count(queue, "queue.lease_granted"), 1U);
}

// Goal: the runs move from one server to another one, and at last to that of the queue.
TEST_F(stories_queue_lines, runs_move) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  const auto third = start_with({});
  release(at(runs_at), all_but_home());
  take(at(third), all_but_home());
  settle();
  EXPECT_EQ(state_of(run).at, run::phase::running);
  release(at(third), all_but_home());
  take(at(queue_at), all_but_home());
  worker.gates.clear();
  expect_untouched(run);
  EXPECT_EQ(count(queue, "queue.lease_granted"), 1U);
}

// Goal: a run that waits ends although its server changes.
TEST_F(stories_queue_lines, waiting_runs_move) {
  begin_apart();
  const auto run = ask_for_run();
  settle();
  const auto third = start_with({});
  release(at(runs_at), all_but_home());
  work();
  take(at(third), all_but_home());
  expect_untouched(run);
}

// Goal: a server that was overtaken without noticing speaks for its runs no more: they stay with
// their new one.
TEST_F(stories_queue_lines, overtaken_server_says_nothing) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  const auto overtaken = runs_at;
  wires.cut();
  wires.slow = true; // What it says of its run is late.
  settle();
  w.advance(milliseconds{500});
  settle();
  runs_at = start_with(all_but_home()); // Claims what the first believes to hold.
  settle();
  wires.slow = false;
  choose = [](std::size_t n) { return n - 1; }; // The new one's line comes first.
  settle();
  choose = [](std::size_t) { return 0; };
  settle();
  die(overtaken);
  worker.gates.clear();
  expect_untouched(run);
}

// Goal: a worker that dies loses its run after its lease, to the next one; recorded steps are not
// executed again.
TEST_F(stories_queue_lines, worker_dies) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  worker.kill();
  work();
  expect_end(run, 2);
  EXPECT_THAT(executions(run, "a"), ElementsAre(1));
  EXPECT_THAT(executions(run, "b"), SizeIs(2));
  EXPECT_EQ(count(queue, "queue.lease_expired"), 1U);
}

// Goal: what a worker says under a lease that is over has no effect, over a line either.
TEST_F(stories_queue_lines, old_lease_says_nothing) {
  begin_apart();
  auto& worker = work();
  const auto run = begin_run(worker);
  worker.doze(true);
  until([&] { return count(queue, "queue.lease_expired") == 1; }, "the end of the lease");
  auto& second = work();
  second.gates = {"b"};
  until([&] { return executions(run, "b").size() == 2; }, "the second execution");
  worker.doze(false);
  worker.gates.clear();
  settle();
  w.advance(milliseconds{1000});
  settle();
  EXPECT_EQ(count(stream_of(run), "run.step_completed"), 1U) << "of the first step";
  second.gates.clear();
  expect_end(run, 2);
}

/// Under the seed that the parameter is.
class stories_queue_lines_at_random : public stories_queue_lines,
                                      public ::testing::WithParamInterface<std::uint64_t> {
protected:
  void let_something_break() {
    for (auto steps = dice.below(120); steps > 0; --steps)
      if (!one_step())
        w.advance(milliseconds{100});
    switch (dice.below(7)) {
      case 0:
      case 1:
        return wires.cut();
      case 2:
        return workers[dice.below(2)]->cut();
      case 3:
        die(queue_at);
        queue_at = start_with({home});
        return;
      case 4:
        die(runs_at);
        runs_at = start_with(all_but_home());
        return;
      case 5:
        release(at(runs_at), all_but_home());
        return take(at(runs_at), all_but_home());
      default:
        release(at(queue_at), {home});
        take(at(queue_at), {home});
    }
  }

  test::dice dice{GetParam()};
};

// Goal: whatever breaks, in whatever order, every run ends once and none of its attempts counts.
TEST_P(stories_queue_lines_at_random, every_run_ends) {
  choose = [this](std::size_t n) { return dice.below(n); };
  begin_apart();
  work();
  work();
  for (int round = 0; round < 4; ++round) {
    std::vector<run_id> runs;
    for (int i = 0; i < 4; ++i)
      runs.push_back(ask_for_run());
    for (int fault = 0; fault < 8; ++fault)
      let_something_break();
    for (const auto& run : runs) {
      until_ended(run);
      EXPECT_EQ(state_of(run).at, run::phase::succeeded);
      EXPECT_EQ(state_of(run).failures, 0);
      EXPECT_EQ(terminal_events(run), 1);
    }
    until([&] { return leases() == 0; }, "the end of all leases");
    ASSERT_FALSE(HasFailure());
  }
}

INSTANTIATE_TEST_SUITE_P(seeds, stories_queue_lines_at_random,
                         ::testing::Range(std::uint64_t{1}, std::uint64_t{13}));

} // namespace

} // namespace runledger::sim
