#include "tests/support/harness_probe.hpp"

#include "actors/harness/cgroup.hpp"
#include "actors/harness/process_tree.hpp"
#include "events/digest.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <gtest/gtest.h>

using namespace runledger;
using namespace runledger::harness;
using namespace runledger::test;

namespace {

/// One host for each test, with rude harnesses. The parameter is the sandbox mode: what the
/// protocol promises holds in both.
class harness_process : public testing::TestWithParam<sandbox_mode> {
protected:
  std::shared_ptr<recording_sink> start(process_spec spec) {
    spec.sandbox = GetParam();
    auto sink = std::make_shared<recording_sink>();
    process = host.start(std::move(spec), sink);
    return sink;
  }
  std::shared_ptr<recording_sink> start(std::vector<std::string> arguments) {
    return start(rude(data.path(), std::move(arguments)));
  }
  process_spec spec_of(std::vector<std::string> arguments) {
    return rude(data.path(), std::move(arguments));
  }

  temp_folder data;
  process_host host{{.data_dir = data.path()}};
  process_handle process = process_handle::none;
};

exit_info exit_of(const std::shared_ptr<recording_sink>& sink) {
  EXPECT_TRUE(sink->wait_exit());
  auto heard = sink->now();
  EXPECT_EQ(heard.exits, 1);
  EXPECT_EQ(heard.after_exit, 0);
  return heard.exit.value_or(exit_info{});
}

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Runs; who has ended and only waits to be reaped does not.
bool is_alive(pid_t pid) {
  auto stat = read_stat(pid);
  return stat && !stat->zombie;
}

pid_t told_pid(const recording_sink::heard& heard) {
  auto& fields = heard.frames.at(0).payload; // {"pid": N}
  return std::stoi(fields.substr(fields.find(':') + 1));
}

} // namespace

// Goal: a harness that behaves is heard in order, answered through stdin, and its end is told once.
TEST_P(harness_process, well_behaved_run) {
  auto sink = start({"ready=1", "await=run.start", R"(line={"type":"step.start","key":"a"})",
                     "await=step.go", R"(line={"type":"step.done","key":"a","output":1})",
                     R"(line={"type":"result","output":2})"});
  host.open_run(process, rude_run, 60'000, "");
  host.write(process, hello_line("test") + "{\"type\":\"run.start\"}\n");
  ASSERT_TRUE(sink->wait_frames(1));
  host.write(process, step_go_line(rude_run, "a", 1));
  auto end = exit_of(sink);
  auto heard = sink->now();
  EXPECT_EQ(heard.ready_runs, 1);
  ASSERT_EQ(heard.frames.size(), 3U);
  EXPECT_EQ(heard.frames[0].type, frame_type::step_start);
  EXPECT_EQ(heard.frames[1].type, frame_type::step_done);
  EXPECT_EQ(heard.frames[2].type, frame_type::result);
  for (const auto& f : heard.frames)
    EXPECT_EQ(f.run, rude_run); // It left `run` out.
  EXPECT_EQ(end.reason, "exited") << end.message;
  EXPECT_EQ(end.code, 0);
  EXPECT_GT(end.max_rss_kb, 0);
}

// Goal: an end before any result is told with its status, an end by a signal with the signal.
TEST_P(harness_process, ends_without_a_result) {
  auto end = exit_of(start({"ready", "exit=7"}));
  EXPECT_EQ(end.reason, "exited");
  EXPECT_EQ(end.code, 7);
  auto killed = exit_of(start({"ready", "signal=" + std::to_string(SIGUSR1)}));
  EXPECT_EQ(killed.reason, "signalled");
  EXPECT_EQ(killed.signal, SIGUSR1);
}

// Goal: a last line that was cut by the end is dropped, one that only lacks its line feed counts.
TEST_P(harness_process, ends_between_lines) {
  auto torn = start({"ready", R"(raw={"type":"result","out)", "exit=0"});
  exit_of(torn);
  EXPECT_TRUE(torn->now().frames.empty());
  EXPECT_TRUE(torn->now().errors.empty());
  auto whole = start({"ready", R"(raw={"type":"result","output":1})", "exit=0"});
  exit_of(whole);
  EXPECT_EQ(whole->now().frames.size(), 1U);
}

// Goal: a line that is no frame ends the process and is quoted; nothing after it is heard.
TEST_P(harness_process, garbage) {
  auto sink =
      start({"ready", "line=Traceback: oops", R"(line={"type":"result","output":1})", "hang"});
  auto end = exit_of(sink);
  auto heard = sink->now();
  ASSERT_EQ(heard.errors.size(), 1U);
  EXPECT_EQ(heard.errors[0].line, "Traceback: oops");
  EXPECT_TRUE(heard.frames.empty());
  EXPECT_EQ(end.reason, "protocol_error");
  EXPECT_TRUE(mentions(end.message, "Traceback: oops"));
}

// Goal: wrong UTF-8 is garbage too and does not spoil the message.
TEST_P(harness_process, bytes_that_are_no_text) {
  auto sink = start({"ready", R"(raw=\xff\xfe\n)", "hang"});
  EXPECT_EQ(exit_of(sink).reason, "protocol_error");
  EXPECT_EQ(sink->now().errors.at(0).line, "\\xff\\xfe");
}

// Goal: the first line must be `ready`, and there is one only.
TEST_P(harness_process, ready_comes_first_and_once) {
  auto early = start({R"(line={"type":"result","output":1})", "hang"});
  EXPECT_EQ(exit_of(early).reason, "protocol_error");
  EXPECT_FALSE(early->now().ready_runs);
  auto twice = start({"ready", "ready", "hang"});
  EXPECT_EQ(exit_of(twice).reason, "protocol_error");
}

// Goal: a line over 1 MiB ends the process, whether it ever ends or not.
TEST_P(harness_process, line_too_long) {
  for (const char* amount : {"big=1048577", "big=30000000"}) {
    auto sink = start({"ready", amount, "hang"});
    EXPECT_EQ(exit_of(sink).reason, "protocol_error");
    EXPECT_TRUE(mentions(sink->now().errors.at(0).message, "1 MiB"));
    EXPECT_LE(sink->now().errors.at(0).line.size(), 200U);
  }
}

// Goal: a flood of valid lines is stopped by the rate of lines, one of long lines by the rate of
// bytes; the limit is named.
TEST_P(harness_process, floods) {
  const auto began = std::chrono::steady_clock::now();
  auto many = start({"ready", R"(flood={"type":"log","level":"info","message":"more"})"});
  EXPECT_EQ(exit_of(many).reason, "protocol_error");
  const auto seconds =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began);
  auto heard = many->now();
  EXPECT_TRUE(mentions(heard.errors.at(0).message, "too many lines: over 4000 at once or 2500 a"));
  EXPECT_TRUE(mentions(heard.errors.at(0).line, "more"));
  EXPECT_GE(heard.frames.size(), 3'999U);
  EXPECT_LE(heard.frames.size(), 4'000U + 2'500U * (1U + static_cast<unsigned>(seconds.count())));

  auto bytes = spec_of({"ready", R"(flood={"type":"log","level":"info","message":")"
                                     + std::string(1000, 'x') + "\"}"});
  bytes.output = {100'000, 1'000'000, 1ULL << 40, 1ULL << 40};
  auto fat = start(bytes);
  EXPECT_EQ(exit_of(fat).reason, "protocol_error");
  EXPECT_TRUE(mentions(fat->now().errors.at(0).message,
                       "too much output: over 1000000 bytes at once or 100000 a second"));
}

/// Answers every step at once, as the server does.
struct answering_sink : recording_sink {
  void on_frame(frame&& f) override {
    if (f.type == frame_type::step_start)
      host->write(process, {step_go_line(f.run, f.key, 1), f.run, 1});
    recording_sink::on_frame(std::move(f));
  }
  process_host* host = nullptr;
  std::atomic<process_handle> process = process_handle::none;
};

/// Steps one after the other, each as soon as the one before is done.
const std::string quick_steps = R"(python=import sys
told = None
run = b')" + rude_run + R"('
for line in sys.stdin:
    if 'go on' in line: break
for n in range(1000):
    os.write(1, b'{"type":"step.start","run":"%s","key":"%d"}\n' % (run, n))
    sys.stdin.readline()
    os.write(1, b'{"type":"step.done","run":"%s","key":"%d","output":0}\n' % (run, n)))";

// Goal: who waits for the answer to each step floods nobody, however fast server and agent are, in
// a process of its own and in a pool.
TEST_P(harness_process, quick_steps_are_no_flood) {
  for (bool pooled : {false, true}) {
    auto spec = spec_of({pooled ? "ready=2" : "ready", quick_steps, "hang"});
    spec.sandbox = GetParam();
    spec.output.lines_per_second = 10;
    spec.output.burst_lines = 50;
    if (pooled)
      spec.run.clear();
    auto sink = std::make_shared<answering_sink>();
    sink->host = &host;
    process = host.start(std::move(spec), sink);
    sink->process = process;
    host.open_run(process, rude_run, 0, "");
    host.write(process, "go on\n");
    EXPECT_TRUE(sink->wait([](const auto& h) { return h.frames.size() == 2'000 || h.exit; }));
    EXPECT_TRUE(sink->now().errors.empty()) << sink->now().errors[0].text();
    host.kill(process);
    exit_of(sink);
  }
}

// Goal: a run of a pool that says too much is cut off alone; the process goes on for the others.
TEST_P(harness_process, a_flood_in_a_pool_is_one_runs) {
  auto spec = spec_of(
      {"ready=2", "await=go", R"(python=told = None
line = b'{"type":"log","run":"run_a","level":"info","message":"more"}\n'
rest = line * 20000 + b'{"type":"result","run":"run_b","output":1}\n'
while rest: rest = rest[os.write(1, rest):])",
       "await=again", R"(line={"type":"log","run":"run_a","level":"info","message":"x"})", "hang"});
  spec.run.clear();
  auto sink = start(std::move(spec));
  host.open_run(process, "run_a", 0, "");
  host.open_run(process, "run_b", 0, "");
  host.write(process, "go\n");
  auto result_of_b = [](const auto& h) {
    return !h.frames.empty() && h.frames.back().type == frame_type::result;
  };
  ASSERT_TRUE(sink->wait(result_of_b));
  auto heard = sink->now();
  EXPECT_EQ(heard.flooded, (std::vector<std::string>{"run_a"})) << "once";
  EXPECT_TRUE(mentions(heard.errors.at(0).text(), "too many lines: over 4000 at once"));
  EXPECT_GE(heard.frames.size(), 4'001U);
  EXPECT_LT(heard.frames.size(), 20'001U);
  host.open_run(process, "run_a", 0, ""); // Another attempt.
  host.write(process, "again\n");
  EXPECT_TRUE(sink->wait([](const auto& h) { return h.frames.back().run == "run_a"; }));
  host.kill(process);
  EXPECT_EQ(exit_of(sink).reason, "stopped");
}

// Goal: no `ready` in time ends the process.
TEST_P(harness_process, hangs_before_ready) {
  auto spec = spec_of({"hang"});
  spec.ready_timeout_ms = 300;
  auto sink = start(spec);
  EXPECT_EQ(exit_of(sink).reason, "not_ready");
  EXPECT_FALSE(sink->now().ready_runs);
  EXPECT_FALSE(sink->now().layers.empty()) << "told at the start";
}

// Goal: silence after `ready` is told once and leaves the decision to the caller.
TEST_P(harness_process, hangs_after_ready) {
  auto sink = start({"ready", "hang"});
  host.open_run(process, rude_run, 150, "");
  ASSERT_TRUE(sink->wait([](const auto& h) { return !h.lost.empty(); }));
  EXPECT_EQ(sink->now().lost.at(0), rude_run);
  EXPECT_FALSE(sink->now().exit);
  host.kill(process);
  EXPECT_EQ(exit_of(sink).reason, "stopped");
  EXPECT_EQ(sink->now().lost.size(), 1U);
}

// Goal: empty objects keep a run alive.
TEST_P(harness_process, heartbeats_count) {
  auto sink =
      start({"ready",
             "python=import sys\nfor i in range(40):\n print('{}', flush=True); time.sleep(0.025)",
             "hang"});
  host.open_run(process, rude_run, 500, "");
  ASSERT_TRUE(sink->wait_frames(1)); // Told after a second of heartbeats.
  EXPECT_TRUE(sink->now().lost.empty());
  EXPECT_TRUE(sink->wait([](const auto& h) { return !h.lost.empty(); }));
}

// Goal: a process that never reads is ended before it costs much memory.
TEST_P(harness_process, never_reads_stdin) {
  auto spec = spec_of({"ready", "hang"});
  spec.write_backlog_bytes = 1 << 20;
  spec.write_stall_ms = 200;
  auto sink = start(spec);
  for (int i = 0; i < 40; ++i)
    host.write(process, std::string(100'000, 'x') + "\n");
  EXPECT_EQ(exit_of(sink).reason, "stdin_backlog");
}

// Goal: much more than a pipe holds reaches a process that reads, complete and in order.
TEST_P(harness_process, long_history_through_stdin) {
  auto sink =
      start({"ready", "python=import sys, hashlib\nh = hashlib.sha256(); n = 0\n"
                      "while n < 20200000:\n b = os.read(0, 1 << 20); h.update(b); n += len(b)\n"
                      "told['digest'] = h.hexdigest()"});
  std::string all;
  for (int i = 0; i < 200; ++i) {
    auto line = std::string(100'999, static_cast<char>('a' + i % 26)) + "\n";
    all += line;
    host.write(process, line);
  }
  ASSERT_EQ(all.size(), 20'200'000U);
  exit_of(sink);
  EXPECT_TRUE(mentions(sink->now().frames.at(0).payload, to_hex(sha256(all))));
}

// Goal: terminate asks first, and what the process then says is heard.
TEST_P(harness_process, terminate_lets_it_finish) {
  auto sink = start({R"(on_term={"type":"result","output":"late"})", "ready", "hang"});
  ASSERT_TRUE(sink->wait([](const auto& h) { return h.ready_runs.has_value(); }));
  host.terminate(process, 60'000);
  auto end = exit_of(sink);
  EXPECT_EQ(end.reason, "stopped");
  EXPECT_EQ(end.code, 0);
  EXPECT_EQ(sink->now().frames.size(), 1U);
}

// Goal: who ignores SIGTERM gets SIGKILL after the grace, with everything that left the session.
TEST_P(harness_process, terminate_reaches_the_whole_tree) {
  auto sink = start({"deaf", "ready", "orphan", "hang"});
  ASSERT_TRUE(sink->wait_frames(1));
  host.terminate(process, 100);
  auto end = exit_of(sink);
  EXPECT_EQ(end.reason, "stopped");
  EXPECT_EQ(end.signal, SIGKILL);
}

// Goal: nobody outlives on_exit, however far it ran from its parent: neither when the main process
// ends by itself nor when it is killed.
TEST_P(harness_process, nobody_outlives_the_end) {
  for (bool by_itself : {true, false}) {
    // Told from the processes of tests that run beside this one.
    auto mark = "mark_" + std::to_string(::getpid());
    auto sink = start({"ready", "python=told = None # " + mark, "orphan", "await=go", "exit=0"});
    ASSERT_TRUE(sink->wait_frames(1));
    // In a pid namespace the number means nothing here: there the count of processes tells.
    auto running = [&] {
      int n = 0;
      for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
        auto line = read_text(entry.path().string() + "/cmdline");
        n += mentions(line, "rude_harness.py") && mentions(line, mark);
      }
      return n;
    };
    EXPECT_GE(running(), 2);
    pid_t orphan = told_pid(sink->now());
    if (by_itself)
      host.write(process, "go\n");
    else
      host.kill(process);
    EXPECT_EQ(exit_of(sink).reason, by_itself ? "exited" : "stopped");
    EXPECT_EQ(running(), 0);
    if (GetParam() == sandbox_mode::none) {
      EXPECT_FALSE(is_alive(orphan));
    }
  }
}

// Goal: stderr goes to the log of every open run, up to the bound.
TEST_P(harness_process, raw_log) {
  auto a = data.path() + "/logs/a.log";
  auto b = data.path() + "/logs/b.log";
  auto sink = start({"await=go", "ready", "stderr=words", "exit=0"});
  host.open_run(process, rude_run, 0, a);
  host.open_run(process, "run_2", 0, b);
  host.write(process, "go\n");
  exit_of(sink);
  EXPECT_EQ(read_text(a), "words\n");
  EXPECT_EQ(read_text(b), "words\n");
}

// Goal: what was said before a run was open is in the log of the first.
TEST_P(harness_process, raw_log_of_the_start) {
  auto log = data.path() + "/logs/a.log";
  auto sink = start({"stderr=early", "ready", "await=go", "stderr=late", "exit=0"});
  ASSERT_TRUE(sink->wait([](const auto& h) { return h.ready_runs.has_value(); }));
  host.open_run(process, rude_run, 0, log);
  host.write(process, "go\n");
  exit_of(sink);
  EXPECT_EQ(read_text(log), "early\nlate\n");
}

// Goal: what a process of one run says after its run is over is in that run's log.
TEST_P(harness_process, raw_log_of_the_end) {
  auto log = data.path() + "/logs/a.log";
  auto sink = start({"ready", "stderr=before", R"(line={"type":"result","output":1})", "await=go",
                     "stderr=after", "exit=0"});
  host.open_run(process, rude_run, 0, log);
  ASSERT_TRUE(sink->wait_frames(1));
  host.close_run(process, rude_run);
  host.write(process, "go\n");
  exit_of(sink);
  EXPECT_EQ(read_text(log), "before\nafter\n");
}

TEST_P(harness_process, raw_log_is_cut) {
  process_host small{{.data_dir = data.path() + "/small", .raw_log_bytes = 100}};
  auto spec = spec_of(
      {"ready", "stderr=" + std::string(60, 'x'), "stderr=" + std::string(60, 'y'), "exit=0"});
  spec.sandbox = GetParam();
  auto sink = std::make_shared<recording_sink>();
  auto log = data.path() + "/logs/c.log";
  auto other = small.start(spec, sink);
  small.open_run(other, rude_run, 0, log);
  exit_of(sink);
  auto text = read_text(log);
  EXPECT_TRUE(text.starts_with(std::string(60, 'x') + "\n"));
  EXPECT_TRUE(mentions(text, "cut here"));
  EXPECT_LT(text.size(), 150U);
}

// Goal: the environment is exactly what the contract says, and a recipe cannot change who the run
// is.
TEST_P(harness_process, environment_is_exact) {
  auto spec = spec_of({"ready", "env"});
  spec.environment = {{"TOKEN", "s3cr=t\nx"}, {"RUNLEDGER_RUN_ID", "forged"}, {"PATH", "/usr/bin"}};
  auto sink = start(spec);
  exit_of(sink);
  auto payload = sink->now().frames.at(0).payload;
  auto expect = [&](const std::string& name, const std::string& value) {
    auto entry = "\"" + name + "\": \"" + value + "\"";
    auto at = payload.find(entry);
    EXPECT_NE(at, std::string::npos) << name << " in " << payload;
    if (at != std::string::npos)
      payload.erase(at, entry.size());
  };
  auto work = data.path() + "/folders/" + rude_run;
  expect("RUNLEDGER_RUN_ID", rude_run);
  expect("RUNLEDGER_SESSION_ID", "sess_1");
  expect("RUNLEDGER_ATTEMPT", "1");
  expect("RUNLEDGER_WORKDIR", work);
  expect("HOME", work);
  expect("PATH", "/usr/bin");
  expect("LANG", "C.UTF-8");
  expect("TOKEN", "s3cr=t\\nx");
  if (GetParam() != sandbox_mode::none)
    expect("PWD", work); // bubblewrap says where it went.
  std::erase_if(payload, [](char c) { return c == ' ' || c == ','; });
  EXPECT_EQ(payload, "{}");
}

// Goal: no secret shows in an argument list or in a file of the data folder.
TEST_P(harness_process, secrets_are_not_in_argument_lists) {
  auto spec =
      spec_of({"ready", "python=told['ok'] = os.environ['TOKEN'] == 'tell-nobody'", "hang"});
  spec.environment = {{"TOKEN", "tell-nobody"}};
  auto sink = start(spec);
  ASSERT_TRUE(sink->wait_frames(1));
  EXPECT_EQ(sink->now().frames[0].payload, R"({"ok": true})");
  std::string secret = std::string{"tell-"} + "nobody";
  int bystanders = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
    auto line = read_text(entry.path().string() + "/cmdline");
    bystanders += mentions(line, "os.environ['TOKEN']");
    if (mentions(
            line,
            "os.environ['TOKEN']")) // The test's own argument names the value; nothing else may.
      line.erase(line.find(secret), secret.size());
    EXPECT_FALSE(mentions(line, secret));
  }
  EXPECT_GT(bystanders, 0);
  for (const auto& entry : std::filesystem::recursive_directory_iterator{data.path()})
    if (entry.is_regular_file()) {
      EXPECT_FALSE(mentions(read_text(entry.path().string()), secret)) << entry.path();
    }
}

// Goal: one warm process serves several runs; each line counts for its run, and a silent run alone
// is lost.
TEST_P(harness_process, pool_of_runs) {
  auto spec = spec_of({"ready=8", "await=go",
                       "python=told = None\nfor i in range(30):\n print('{\"run\":\"run_a\"}', "
                       "flush=True); time.sleep(0.02)",
                       "hang"});
  spec.run.clear();
  auto sink = start(spec);
  host.open_run(process, "run_a", 300, "");
  host.open_run(process, "run_b", 300, "");
  host.write(process, "go\n");
  ASSERT_TRUE(sink->wait([](const auto& h) { return !h.lost.empty(); }));
  EXPECT_EQ(sink->now().ready_runs, 8);
  EXPECT_EQ(sink->now().lost, std::vector<std::string>{"run_b"});
  host.close_run(process, "run_b");
  EXPECT_TRUE(sink->wait([](const auto& h) { return h.lost.size() == 2; })); // run_a falls silent.
  EXPECT_EQ(sink->now().lost.at(1), "run_a");
}

// Goal: in a process of several runs a line that names none keeps none alive.
TEST_P(harness_process, pool_heartbeats_name_their_run) {
  auto spec = spec_of(
      {"ready=8", "await=go", "python=while True:\n print('{}', flush=True); time.sleep(0.02)"});
  spec.run.clear();
  auto sink = start(spec);
  host.open_run(process, "run_a", 300, "");
  host.open_run(process, "run_b", 300, "");
  host.write(process, "go\n");
  EXPECT_TRUE(sink->wait([](const auto& h) { return h.lost.size() == 2; }));
}

// Goal: in a pool every frame names its run.
TEST_P(harness_process, pool_needs_the_run) {
  auto spec = spec_of({"ready=2", R"(line={"type":"result","output":1})", "hang"});
  spec.run.clear();
  auto sink = start(spec);
  EXPECT_EQ(exit_of(sink).reason, "protocol_error");
  EXPECT_TRUE(mentions(sink->now().errors.at(0).message, "`run`"));
}

// Goal: a single-run process cannot speak for another run.
TEST_P(harness_process, foreign_run) {
  auto sink = start({"ready", R"(line={"type":"result","run":"run_2","output":1})", "hang"});
  EXPECT_EQ(exit_of(sink).reason, "protocol_error");
}

// Goal: a command that is not there is told as such, and leaves nothing running.
TEST_P(harness_process, no_such_command) {
  auto spec = spec_of({});
  spec.command = {"no-such-program"};
  auto end = exit_of(start(spec));
  EXPECT_EQ(end.reason, "start_failed") << end.message;
  EXPECT_TRUE(mentions(end.message, "no-such-program"));
}

// Goal: hostile names and values do not become options or paths elsewhere.
TEST_P(harness_process, refuses_hostile_specs) {
  auto with_nul = spec_of({"ready"});
  with_nul.environment = {{"A", std::string{"x\0--bind", 8}}};
  EXPECT_EQ(exit_of(start(with_nul)).reason, "start_failed");
  auto escaping = spec_of({"ready"});
  escaping.files.emplace_back("../../evil", "x");
  EXPECT_EQ(exit_of(start(escaping)).reason, "start_failed");
  auto linked = spec_of({"ready"});
  std::filesystem::create_directories(data.path() + "/folders");
  std::filesystem::create_symlink("/etc", data.path() + "/folders/link");
  linked.work_dir = data.path() + "/folders/link";
  EXPECT_EQ(exit_of(start(linked)).reason, "start_failed");
}

// Goal: one processor-bound process is ended by its limit.
TEST_P(harness_process, processor_time_is_limited) {
  auto spec = spec_of({"ready", "python=while True: pass"});
  spec.resources.cpu_seconds = 1;
  EXPECT_EQ(exit_of(start(spec)).reason, "cpu_limit");
}

// Goal: many small files fill the work folder no further than its limit.
TEST_P(harness_process, work_folder_is_limited) {
  auto spec = spec_of(
      {"ready", "python=for i in range(64):\n open(str(i), 'wb').write(b'x' * (1 << 20))", "hang"});
  spec.resources.disk_mb = 16;
  EXPECT_EQ(exit_of(start(spec)).reason, "disk_limit");
}

// Goal: the destructor of the host ends everything and tells every sink.
TEST_P(harness_process, host_takes_its_processes_along) {
  auto sink = std::make_shared<recording_sink>();
  {
    process_host other{{.data_dir = data.path() + "/other"}};
    auto spec = spec_of({"deaf", "ready", "hang"});
    spec.sandbox = GetParam();
    other.start(spec, sink);
    ASSERT_TRUE(sink->wait([](const auto& h) { return h.ready_runs.has_value(); }));
  }
  EXPECT_TRUE(sink->now().exit.has_value());
  EXPECT_EQ(sink->now().exits, 1);
}

// Goal: no control group outlives its host.
TEST_P(harness_process, host_takes_its_groups_along) {
  std::vector<std::string> reasons;
  auto parents = find_cgroups(reasons);
  auto groups = [&] {
    auto mine = "runledger-" + std::to_string(::getpid()) + "-";
    int n = 0;
    for (const auto& parent :
         {parents.pids_v1, parents.memory_v1, parents.cpuacct_v1, parents.unified})
      if (!parent.empty())
        for (const auto& entry : std::filesystem::directory_iterator{parent})
          n += entry.path().filename().string().starts_with(mine);
    return n;
  };
  auto before = groups(); // This fixture's host has nothing running.
  auto other =
      std::make_unique<process_host>(process_host_options{.data_dir = data.path() + "/other"});
  for (int i = 0; i < 5; ++i) {
    auto spec = spec_of({"ready", "orphan", "hang"});
    spec.sandbox = GetParam();
    auto sink = std::make_shared<recording_sink>();
    other->start(spec, sink);
    ASSERT_TRUE(sink->wait_frames(1));
  }
  if (parents.any()) {
    EXPECT_GT(groups(), before);
  }
  other.reset();
  EXPECT_EQ(groups(), before);
}

// Goal: a sweep kills what a record names only if it is the same process; afterwards no record is
// left.
TEST_P(harness_process, sweep_matches_pid_and_start_time) {
  auto sink = start({"ready", "hang"});
  ASSERT_TRUE(sink->wait([](const auto& h) { return h.ready_runs.has_value(); }));
  auto folder = std::filesystem::path{data.path()} / "processes";
  ASSERT_FALSE(std::filesystem::is_empty(folder));
  auto record = std::filesystem::directory_iterator {
    folder
    } -> path();
  auto text = read_text(record.string());
  std::filesystem::create_directories(data.path() + "/copy/processes");
  auto forged = data.path() + "/copy/processes/1";
  auto pid_line = text.find("pid ");
  auto line_end = text.find('\n', pid_line);
  write_text(forged, text.substr(0, text.find("pid ")) + text.substr(pid_line, line_end - pid_line)
                         + "9\n");
  EXPECT_EQ(sweep_processes(data.path() + "/copy"), 0U); // Another start time.
  EXPECT_FALSE(sink->now().exit);
  EXPECT_GE(sweep_processes(data.path()), 1U);
  exit_of(sink);
  EXPECT_TRUE(std::filesystem::is_empty(folder));
}

// Goal: nothing of an ended process stays, not even a zombie.
TEST_P(harness_process, leaves_no_zombies) {
  for (bool by_itself : {true, false}) {
    auto sink = start({"ready", "orphan", by_itself ? "exit=0" : "hang"});
    ASSERT_TRUE(sink->wait_frames(1));
    if (!by_itself)
      host.kill(process);
    exit_of(sink);
    for (const auto& left : descendants(all_processes(), ::getpid()))
      ADD_FAILURE() << read_text("/proc/" + std::to_string(left.pid) + "/stat");
  }
}

INSTANTIATE_TEST_SUITE_P(modes, harness_process,
                         testing::Values(sandbox_mode::required, sandbox_mode::none),
                         [](const auto& mode) {
                           return mode.param == sandbox_mode::none ? std::string{"direct"}
                                                                   : std::string{"sandboxed"};
                         });
