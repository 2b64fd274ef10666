#include "actors/harness/artifact.hpp"
#include "actors/harness/process_tree.hpp"
#include "tests/support/harness_probe.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <csignal>
#include <functional>
#include <grp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

namespace runledger::harness {

using namespace test;

namespace {

bool mentions(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

bool has(const std::vector<std::string>& layers, const std::string& layer) {
  return std::find(layers.begin(), layers.end(), layer) != layers.end();
}

/// What one start led to.
struct outcome {
  std::string told; // The fields of the first log frame.
  recording_sink::heard heard;
  exit_info exit;
};

outcome outcome_of(harness_host& host, process_spec spec) {
  auto sink = std::make_shared<recording_sink>();
  host.start(std::move(spec), sink);
  EXPECT_TRUE(sink->wait_exit());
  outcome out;
  out.heard = sink->now();
  out.exit = out.heard.exit.value_or(exit_info{});
  if (!out.heard.frames.empty())
    out.told = out.heard.frames[0].payload;
  return out;
}

/// A real sandbox for each test.
class sandbox : public testing::Test {
protected:
  process_spec python(const std::string& code, const std::string& run = rude_run) {
    return rude(data.path(), {"ready", "python=" + code}, run);
  }
  /// What the code tells, in the sandbox with all its layers.
  std::string told(const std::string& code) {
    auto out = outcome_of(host, python(code));
    EXPECT_FALSE(out.told.empty()) << out.exit.reason << ": " << out.exit.message;
    return out.told;
  }
  /// The error with which an access fails.
  std::string opening(const std::string& path, const std::string& mode = "r") {
    return told("open('" + path + "', '" + mode + "').close()\ntold['opened'] = True");
  }

  temp_folder data;
  process_host host{{.data_dir = data.path()}};
};

/// Calls `body` in a process of its own, which may change its user or be killed; returns how it
/// ended.
int in_child(const std::function<int()>& body) {
  pid_t pid = ::fork();
  if (pid == 0)
    ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// How many live processes have `mark` in their arguments.
int running(const std::string& mark) {
  int n = 0;
  for (const auto& one : all_processes())
    n += !one.zombie && mentions(read_text("/proc/" + std::to_string(one.pid) + "/cmdline"), mark);
  return n;
}

} // namespace

// Goal: every layer that this machine has is active and told, once the process is ready.
TEST_F(sandbox, tells_its_layers) {
  auto out = outcome_of(host, python("pass"));
  for (const char* layer :
       {"namespaces", "seccomp", "no-network", "rlimit:core", "rlimit:nofile", "poll:disk"})
    EXPECT_TRUE(has(out.heard.layers, layer)) << layer;
  EXPECT_EQ(out.heard.layers, out.exit.layers);
}

// Goal: files of the host and of other runs are not there; those of the system cannot be changed.
TEST_F(sandbox, files_of_the_host) {
  auto neighbour = data.path() + "/folders/run_2";
  std::filesystem::create_directories(neighbour);
  write_text(neighbour + "/secret", "x");
  EXPECT_EQ(opening("/etc/shadow"), R"({"error": "FileNotFoundError"})");
  EXPECT_EQ(opening(neighbour + "/secret"), R"({"error": "FileNotFoundError"})");
  EXPECT_EQ(opening(data.path() + "/processes"), R"({"error": "FileNotFoundError"})");
  EXPECT_EQ(opening(std::string{RUNLEDGER_SOURCE_DIR} + "/CMakeLists.txt"),
            R"({"error": "FileNotFoundError"})");
  EXPECT_EQ(told("told['home'] = os.path.exists('/root') or os.path.exists('/home')"),
            R"({"home": false})");
  EXPECT_EQ(told("told['etc'] = sorted(set(os.listdir('/etc')) & {'shadow', 'gshadow', 'sudoers', "
                 "'ssh', 'resolv.conf'})"
                 "\ntold['keys'] = os.path.exists('/etc/ssl/private')"),
            R"({"etc": [], "keys": false})");
  for (const char* path : {"/usr/bin/new", "/new", "/agent/new", "/agent/rude_harness.py",
                           "/dev/new", "/etc/new", "/etc/passwd"})
    EXPECT_TRUE(mentions(opening(path, "a"), "Error")) << path;
  EXPECT_EQ(opening("new", "w"), R"({"opened": true})");
  EXPECT_TRUE(std::filesystem::exists(data.path() + "/folders/" + rude_run + "/new"));
}

// Goal: /tmp and /dev/shm are private and bounded.
TEST_F(sandbox, private_tmp) {
  auto spec =
      python("told['before'] = [f for f in os.listdir('/tmp') + os.listdir('/dev/shm') if not "
             "os.environ['HOME'].startswith('/tmp/' + f)]\n"
             "open('/tmp/runledger-x', 'w').write('x')\n"
             "for f in ('/tmp/big', '/dev/shm/big'):\n"
             " try:\n  [open(f + str(i), 'wb').write(b'x' * (1 << 20)) for i in range(20)]\n"
             " except OSError as e: told[f] = e.errno");
  spec.resources.disk_mb = 8;
  EXPECT_EQ(outcome_of(host, spec).told, R"({"before": [], "/tmp/big": 28, "/dev/shm/big": 28})");
  EXPECT_FALSE(std::filesystem::exists("/tmp/runledger-x"));
}

// Goal: only its own processes are visible, and no descriptor but the three is open.
TEST_F(sandbox, processes_and_descriptors) {
  EXPECT_EQ(told("told['pids'] = len([p for p in os.listdir('/proc') if p.isdigit()]) <= 3\n"
                 "told['fds'] = [f for f in ('0','1','2','3','4','5','6','7','8','9') if "
                 "os.path.exists('/proc/self/fd/' + f)]"),
            R"({"pids": true, "fds": ["0", "1", "2"]})");
}

// Goal: no capability, no way to new privileges, a filter is in force.
TEST_F(sandbox, privileges) {
  EXPECT_EQ(
      told("s = dict(l.split(':\\t') for l in open('/proc/self/status').read().splitlines() if "
           "':\\t' in l)\n"
           "told = {k: s[k] for k in ('CapEff', 'CapPrm', 'CapBnd', 'CapAmb', 'NoNewPrivs', "
           "'Seccomp')}"),
      R"({"CapEff": "0000000000000000", "CapPrm": "0000000000000000", )"
      R"("CapBnd": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1", )"
      R"("Seccomp": "2"})");
}

// Goal: system calls that an agent has no business with are refused, and clone3 looks absent.
TEST_F(sandbox, system_calls) {
  auto code = std::string{"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
                          "def call(n, *a):\n ctypes.set_errno(0)\n r = c.syscall(n, *a)\n return "
                          "ctypes.get_errno() if r == -1 else 0\n"
                          // unshare, ptrace(TRACEME), mount, bpf, keyctl, perf_event_open,
                          // userfaultfd, setns, io_uring_setup, add_key
                          "told['eperm'] = [n for n, a in ((272, (0x10000000,)), (101, (0, 0, 0, "
                          "0)), (165, (0, 0, 0, 0, 0)), (321, (0, 0, 0)),\n"
                          " (250, (0, 0)), (298, (0, 0, 0, 0, 0)), (323, (0,)), (308, (0, 0)), "
                          "(425, (1, 0)), (248, (0, 0, 0, 0, 0)))\n"
                          " if call(n, *a) != 1]\n"
                          "told['clone3'] = call(435, 0, 0)\n"
                          "told['clone_newuser'] = call(56, 0x10000000 | 17, 0, 0, 0, 0)\n"
                          "told['vsock'] = call(41, 40, 1, 0)\n"
                          "told['tiocsti'] = call(16, 0, 0x5412, 0)\n"
                          "told['getpid'] = call(39)"};
#if defined(__x86_64__)
  EXPECT_EQ(
      told(code),
      R"({"eperm": [], "clone3": 38, "clone_newuser": 1, "vsock": 1, "tiocsti": 1, "getpid": 0})");
#else
  GTEST_SKIP() << "the numbers are those of x86-64";
#endif
}

// Goal: without permission there is no network but a loopback of one's own; with it there is the
// host's.
TEST_F(sandbox, network) {
  int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 4), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  auto code =
      "import socket\ntold['interfaces'] = [n for _, n in socket.if_nameindex()] == ['lo']\n"
      "socket.create_connection(('localhost', "
      + std::to_string(ntohs(address.sin_port))
      + "), 5)\n"
        "told['connected'] = True";
  EXPECT_EQ(told(code), R"({"interfaces": true, "error": "ConnectionRefusedError"})");
  auto open = python(code);
  open.network = true;
  auto out = outcome_of(host, open);
  EXPECT_TRUE(mentions(out.told, R"("connected": true)")) << out.told;
  EXPECT_FALSE(has(out.heard.layers, "no-network"));
  ::close(listener);
}

// Goal: a process that multiplies stops at its limit.
TEST_F(sandbox, fork_bomb) {
  auto spec = rude(data.path(), {"ready", "forks=2000"});
  spec.resources.processes = 20;
  auto out = outcome_of(host, spec);
  auto got = out.told.empty() ? -1 : std::stoi(out.told.substr(out.told.find(':') + 1));
  EXPECT_GE(got, 10) << out.exit.message;
  EXPECT_LT(got, 20);
}

// Goal: memory beyond the limit is not to be had.
TEST_F(sandbox, memory) {
  auto spec = python("b = bytearray(b'x') * (400 << 20)\ntold['got'] = len(b)");
  spec.resources.memory_mb = 64;
  auto out = outcome_of(host, spec);
  bool refused = mentions(out.told, "MemoryError");
  EXPECT_TRUE(refused || out.exit.reason == "memory_limit") << out.told << out.exit.reason;
}

// Goal: mounts appear with their modes, and their making leaves no descriptor open; links on the
// way to a source may lead about below the roots, not out of them.
TEST_F(sandbox, mounts) {
  temp_folder shared;
  std::filesystem::create_directories(shared.path() + "/in");
  std::filesystem::create_directories(shared.path() + "/out");
  write_text(shared.path() + "/in/a", "x");
  auto spec = python("told['fds'] = [f for f in range(3, 30) if os.path.exists('/proc/self/fd/' + "
                     "str(f))]\n"
                     "told['read'] = open('/data/a').read()\nopen('"
                     + shared.path()
                     + "/out/b', 'w').write('y')\n"
                       "open('/data/c', 'w')");
  spec.mounts = {{shared.path() + "/in", "/data", false}, {shared.path() + "/out", "", true}};
  spec.mount_roots = {"/nowhere", shared.path()};
  EXPECT_EQ(outcome_of(host, spec).told, R"({"fds": [], "read": "x", "error": "OSError"})");
  EXPECT_EQ(read_text(shared.path() + "/out/b"), "y");
  std::filesystem::create_directory_symlink("in", shared.path() + "/inward");
  spec.mounts = {{shared.path() + "/inward", "/data", false}};
  EXPECT_EQ(outcome_of(host, spec).told,
            R"({"fds": [], "read": "x", "error": "FileNotFoundError"})");
  std::filesystem::create_directory_symlink("/etc", shared.path() + "/outward");
  for (const auto& [source, reason] : std::vector<std::pair<std::string, std::string>>{
           {shared.path() + "/outward", "sandbox_refused"},
           {shared.path() + "/outward/ssl", "sandbox_refused"},
           {shared.path() + "/../", "sandbox_refused"},
           {shared.path() + "2", "start_failed"},
           {"/etc", "sandbox_refused"}}) {
    spec.mounts = {{source, "/data", false}};
    EXPECT_EQ(outcome_of(host, spec).exit.reason, reason) << source;
  }
}

// Goal: a source that is replaced between its check and bubblewrap's mount does not come to be
// seen.
TEST_F(sandbox, mount_is_swapped_on_the_way) {
  temp_folder shared;
  auto source = shared.path() + "/x";
  std::filesystem::create_directory(source);
  auto slow = data.path() + "/bwrap";
  write_text(slow, "#!/bin/sh\nif [ -e " + shared.path() + "/now ]; then mv " + source + " "
                       + source + ".away; ln -s / " + source
                       + "; fi\nexec /usr/bin/bwrap \"$@\"\n");
  ::chmod(slow.c_str(), 0755);
  process_host swapping{{.data_dir = data.path(), .bubblewrap = slow}};
  auto spec = python("told['seen'] = os.listdir('/data')");
  spec.mounts = {{source, "/data", false}};
  spec.mount_roots = {shared.path()};
  EXPECT_EQ(outcome_of(swapping, spec).told, R"({"seen": []})");
  write_text(shared.path() + "/now", "");
  auto out = outcome_of(swapping, spec);
  EXPECT_EQ(out.exit.reason, "sandbox_refused") << out.exit.message;
  EXPECT_EQ(out.told, "");
}

// Goal: what the agent left in its folder is there in the next attempt.
TEST_F(sandbox, work_folder_is_kept) {
  told("open('kept', 'w').write('x')");
  EXPECT_EQ(told("told['kept'] = open('kept').read()\ntold['at'] = os.getcwd() == "
                 "os.environ['RUNLEDGER_WORKDIR']"),
            R"({"kept": "x", "at": true})");
}

// Goal: links that an agent makes lead nobody out of its folder.
TEST_F(sandbox, artifacts_through_links) {
  told("os.symlink('/etc/passwd', 'link'); os.symlink('/etc', 'folder'); os.mkfifo('fifo'); "
       "os.mkdir('sub')\n"
       "open('sub/fine', 'w').write('x')");
  auto folder = data.path() + "/folders/" + rude_run;
  const auto outside = "../" + rude_run + "/sub/fine";
  for (const std::string_view path :
       {std::string_view{"link"}, std::string_view{"folder/passwd"}, std::string_view{"fifo"},
        std::string_view{"sub"}, std::string_view{outside}, std::string_view{"/etc/passwd"},
        std::string_view{"nothing"}})
    EXPECT_FALSE(take_artifact(folder, path, 1 << 20)) << path;
  EXPECT_TRUE(take_artifact(folder, "sub/fine", 1 << 20));
  EXPECT_TRUE(take_artifact(folder, folder + "/sub/fine", 1 << 20));
}

// Goal: without bubblewrap a required sandbox refuses, best effort goes on with the layers that are
// left.
TEST_F(sandbox, bubblewrap_is_missing) {
  process_host bare{{.data_dir = data.path(), .bubblewrap = "/nonexistent/bwrap"}};
  EXPECT_FALSE(bare.probed().missing.empty());
  auto refused = outcome_of(bare, python("told['ran'] = True"));
  EXPECT_EQ(refused.exit.reason, "sandbox_unavailable") << refused.exit.message;
  EXPECT_TRUE(refused.told.empty());
  auto spec = python("import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
                     "told['unshare'] = (c.unshare(0x10000000), ctypes.get_errno())");
  spec.sandbox = sandbox_mode::best_effort;
  auto out = outcome_of(bare, spec);
  EXPECT_EQ(out.told, R"({"unshare": [-1, 1]})");
  EXPECT_TRUE(has(out.heard.layers, "seccomp"));
  EXPECT_FALSE(has(out.heard.layers, "namespaces"));
}

// Goal: a bubblewrap that fails on the way is a missing sandbox, not an agent that failed.
TEST_F(sandbox, bubblewrap_is_broken) {
  auto fake = data.path() + "/bwrap";
  write_text(fake, "#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n");
  ::chmod(fake.c_str(), 0755);
  process_host broken{{.data_dir = data.path(), .bubblewrap = fake}};
  auto out = outcome_of(broken, python("pass"));
  EXPECT_EQ(out.exit.reason, "sandbox_unavailable");
  EXPECT_TRUE(mentions(out.exit.message, "namespace"));
}

// Goal: without control groups the limits hold by other means, and the layers say which.
TEST_F(sandbox, limits_without_control_groups) {
  process_host plain{{.data_dir = data.path(), .use_cgroups = false}};
  auto memory = python("b = bytearray(b'x') * (400 << 20)\ntold['got'] = len(b)");
  memory.resources.memory_mb = 128;
  auto small = outcome_of(plain, memory);
  EXPECT_EQ(small.told, R"({"error": "MemoryError"})");
  EXPECT_TRUE(has(small.heard.layers, "rlimit:data"));
  auto many = rude(data.path(), {"ready", "forks=300", "hang"});
  many.resources.processes = 20;
  auto out = outcome_of(plain, many);
  if (::geteuid() == 0) {
    EXPECT_EQ(out.exit.reason, "process_limit");
    EXPECT_TRUE(has(out.heard.layers, "poll:processes"));
  }
}

// Goal: the sandbox works for a server without privileges, with rlimits where it may not make
// groups.
TEST_F(sandbox, server_without_privileges) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "this whole run is without privileges";
  temp_folder theirs;
  constexpr uid_t somebody = 12'345;
  ASSERT_EQ(::chown(theirs.path().c_str(), somebody, somebody), 0);
  auto spec = rude(theirs.path(), {"ready", "forks=300"});
  spec.resources.processes = 20;
  spec.mounts = {{theirs.path(), "/mine", false}};
  spec.mount_roots = {theirs.path()};
  auto status = in_child([&] {
    if (::setgroups(0, nullptr) != 0 || ::setgid(somebody) != 0 || ::setuid(somebody) != 0)
      return 2;
    process_host own{{.data_dir = theirs.path()}};
    auto out = outcome_of(own, spec);
    auto got = out.told.empty() ? -1 : std::stoi(out.told.substr(out.told.find(':') + 1));
    if (got < 10 || got >= 20 || !has(out.heard.layers, "namespaces")
        || !has(out.heard.layers, "seccomp")) {
      std::fprintf(stderr, "%d processes, %s: %s\n", got, out.exit.reason.c_str(),
                   out.exit.message.c_str());
      return 1;
    }
    return 0;
  });
  EXPECT_EQ(status, 0);
}

// Goal: kill -9 of the server ends its harnesses; what escaped without a namespace falls to the
// next start's sweep.
TEST(sandbox_death, harnesses_die_with_the_server) {
  for (auto mode : {sandbox_mode::required, sandbox_mode::none}) {
    temp_folder data;
    auto mark = "mark-of-" + std::filesystem::path{data.path()}.filename().string();
    int ready[2];
    ASSERT_EQ(::pipe(ready), 0);
    pid_t server = ::fork();
    if (server == 0) {
      process_host host{{.data_dir = data.path()}};
      auto spec = rude(data.path(), {"ready", "orphan", "hang", "line=" + mark});
      spec.sandbox = mode;
      auto sink = std::make_shared<recording_sink>();
      host.start(spec, sink);
      bool fine = sink->wait_frames(1);
      bool grouped = std::ranges::any_of(
          sink->now().layers, [](const std::string& layer) { return layer.starts_with("cgroup"); });
      if (::write(ready[1], !fine ? "n" : grouped ? "g" : "y", 1) == 1)
        ::pause();
      ::_exit(0);
    }
    char answer = 0;
    ASSERT_EQ(::read(ready[0], &answer, 1), 1);
    EXPECT_NE(answer, 'n');
    EXPECT_GE(running(mark), 2);
    ::kill(server, SIGKILL);
    ::waitpid(server, nullptr, 0);
    int escaped = mode == sandbox_mode::none ? 1 : 0;
    EXPECT_TRUE(eventually([&] { return running(mark) == escaped; })) << running(mark);
    auto swept = sweep_processes(data.path());
    const bool named = answer == 'g'; // Only a control group can name what has escaped.
    if (escaped > 0 && named) {       // Otherwise it may still count some that are about to end.
      EXPECT_GT(swept, 0u);
    }
    EXPECT_TRUE(eventually([&] { return running(mark) == (named ? 0 : escaped); }));
    for (const auto& one : all_processes())
      if (mentions(read_text("/proc/" + std::to_string(one.pid) + "/cmdline"), mark))
        ::kill(one.pid, SIGKILL);
    ::close(ready[0]);
    ::close(ready[1]);
  }
}

// Goal: one start after the other gets ready and ends; the figures go to the report.
TEST_F(sandbox, spawn_to_ready) {
  std::vector<double> ms;
  for (int i = 0; i < 30; ++i) {
    auto spec = rude(data.path(), {}, "run_" + std::to_string(i));
    spec.command = {"/bin/sh", "-c", R"(echo '{"type":"ready","protocol":1}'; read x)"};
    auto sink = std::make_shared<recording_sink>();
    auto from = std::chrono::steady_clock::now();
    auto process = host.start(spec, sink);
    ASSERT_TRUE(sink->wait([](const auto& h) { return h.ready_runs.has_value(); }));
    ms.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - from).count());
    host.kill(process);
    ASSERT_TRUE(sink->wait_exit());
  }
  std::sort(ms.begin(), ms.end());
  std::printf("spawn to ready: p50 %.1f ms, worst %.1f ms\n", ms[ms.size() / 2], ms.back());
}

} // namespace runledger::harness
