#include "actors/harness/process_host.hpp"

#include "actors/harness/call_queue.hpp"
#include "actors/harness/running_process.hpp"

#include <atomic>
#include <csignal>
#include <filesystem>
#include <pthread.h>
#include <sys/prctl.h>
#include <system_error>
#include <thread>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>

namespace runledger::harness {

namespace {

constexpr std::int64_t idle_turn_ms = 1000;
constexpr std::int64_t patience_at_end_ms = 10'000;

std::string absolute_folder(const std::string& path) {
  std::filesystem::create_directories(path);
  return std::filesystem::canonical(path).string();
}

} // namespace

struct process_host::core {
  struct start_command {
    process_spec spec;
    std::shared_ptr<process_sink> sink;
  };
  struct write_command {
    outgoing_lines what;
  };
  struct open_command {
    std::string run;
    std::int64_t heartbeat_ms;
    std::string log;
  };
  struct close_command {
    std::string run;
  };
  struct terminate_command {
    std::int64_t grace_ms;
  };
  struct kill_command {};
  struct end_command {};

  /// One call from another thread.
  struct command {
    std::uint64_t process;
    std::variant<start_command, write_command, open_command, close_command, terminate_command,
                 kill_command, end_command>
        what;
  };

  explicit core(process_host_options options);
  ~core();

  void push(std::uint64_t process, decltype(command::what) what);
  void run();
  void execute(command& c);
  void execute(std::uint64_t id, start_command& c);
  void end_all();
  /// Takes a process out once it has reported its exit.
  void settle(std::uint64_t id);

  template <class Call>
  void with(std::uint64_t id, Call call) {
    auto it = processes.find(id);
    if (it == processes.end())
      return;
    call(*it->second);
    settle(id);
  }

  event_loop loop;
  host_context context;
  capabilities probed;
  call_queue<command> queue;
  std::atomic<std::uint64_t> last_id{0};
  std::unordered_map<std::uint64_t, std::unique_ptr<running_process>> processes;
  std::unordered_set<std::uint64_t> written; // To be flushed once all waiting calls are in.
  bool ending = false;
  std::thread thread;
};

process_host::core::core(process_host_options given)
    : context{{}, loop, {}, {}, process_records{absolute_folder(given.data_dir)}} {
  context.options = std::move(given);
  context.options.data_dir = absolute_folder(context.options.data_dir);
  // What a harness leaves behind is reaped here, also where process 1 is no init.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  context.probe = probe_sandbox(context.options.bubblewrap);
  if (context.options.use_cgroups)
    context.cgroups = find_cgroups(probed.missing);
  const auto& p = context.probe;
  if (p.namespaces)
    probed.layers.emplace_back("namespaces");
  else
    probed.missing.push_back("namespaces: " + p.namespaces_missing);
  if (!p.filter.empty())
    probed.layers.emplace_back("seccomp");
  else
    probed.missing.push_back("seccomp: " + p.filter_missing);
  const auto& c = context.cgroups;
  for (auto [folder, name] :
       {std::pair{&c.unified, "cgroup-v2"}, std::pair{&c.memory_v1, "cgroup-v1:memory"},
        std::pair{&c.pids_v1, "cgroup-v1:pids"}, std::pair{&c.cpuacct_v1, "cgroup-v1:cpuacct"}})
    if (!folder->empty())
      probed.layers.emplace_back(name);
  thread = std::thread{[this] { run(); }};
}

process_host::core::~core() {
  push(0, end_command{});
  thread.join();
}

void process_host::core::push(std::uint64_t process, decltype(command::what) what) {
  if (queue.push(command{process, std::move(what)}))
    loop.wake();
}

void process_host::core::run() {
  sigset_t all;
  sigfillset(&all); // Signals are for the main thread; SIGPIPE would come from a closed stdin.
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  ::pthread_setname_np(::pthread_self(), "harness");
  std::int64_t give_up_ms = 0;
  while (!ending || (!processes.empty() && loop.now_ms() < give_up_ms)) {
    loop.turn(
        idle_turn_ms,
        [this](std::uint64_t id, slot what) { with(id, [&](auto& p) { p.on_descriptor(what); }); },
        [this](std::uint64_t id, timer kind) { with(id, [&](auto& p) { p.on_timer(kind); }); });
    for (auto& c : queue.take_all())
      execute(c);
    for (auto id : std::exchange(written, {}))
      with(id, [](auto& p) { p.flush(); });
    std::erase_if(context.leftover_groups, [](cgroup_slot& group) { return group.remove(); });
    if (ending && give_up_ms == 0) {
      give_up_ms = loop.now_ms() + patience_at_end_ms;
      end_all();
    }
  }
  for (auto& [id, process] : processes)
    process->abandon();
  processes.clear();
  // The kernel lets go of a group a moment after its last process is gone.
  remove_patiently(context.leftover_groups);
}

void process_host::core::end_all() {
  std::vector<std::uint64_t> ids;
  for (const auto& [id, process] : processes)
    ids.push_back(id);
  for (auto id : ids)
    with(id, [](auto& p) { p.kill(); });
}

void process_host::core::settle(std::uint64_t id) {
  auto it = processes.find(id);
  if (it != processes.end() && it->second->done())
    processes.erase(it);
}

void process_host::core::execute(std::uint64_t id, start_command& c) {
  if (ending) {
    exit_info info;
    info.reason = "stopped";
    info.message = "the server is stopping";
    c.sink->on_exit(info);
    return;
  }
  auto process =
      std::make_unique<running_process>(id, std::move(c.spec), std::move(c.sink), context);
  auto* started = process.get();
  processes.emplace(id, std::move(process));
  started->start();
  settle(id);
}

void process_host::core::execute(command& c) {
  auto id = c.process;
  std::visit(
      overloaded{
          [&](start_command& what) { execute(id, what); },
          [&](write_command& what) {
            with(id, [&](auto& p) { p.write(what.what); });
            written.insert(id);
          },
          [&](open_command& what) {
            with(id, [&](auto& p) { p.open_run(what.run, what.heartbeat_ms, what.log); });
          },
          [&](close_command& what) { with(id, [&](auto& p) { p.close_run(what.run); }); },
          [&](terminate_command& what) { with(id, [&](auto& p) { p.terminate(what.grace_ms); }); },
          [&](kill_command&) { with(id, [](auto& p) { p.kill(); }); },
          [&](end_command&) { ending = true; },
      },
      c.what);
}

process_host::process_host(process_host_options options)
    : core_(std::make_unique<core>(std::move(options))) {}

process_host::~process_host() = default;

process_handle process_host::start(process_spec spec, std::shared_ptr<process_sink> sink) {
  auto id = core_->last_id.fetch_add(1) + 1;
  core_->push(id, core::start_command{std::move(spec), std::move(sink)});
  return process_handle{id};
}

void process_host::write(process_handle process, outgoing_lines lines) {
  core_->push(static_cast<std::uint64_t>(process), core::write_command{std::move(lines)});
}

void process_host::open_run(process_handle process, std::string run, std::int64_t heartbeat_ms,
                            std::string raw_log) {
  core_->push(static_cast<std::uint64_t>(process),
              core::open_command{std::move(run), heartbeat_ms, std::move(raw_log)});
}

void process_host::close_run(process_handle process, std::string run) {
  core_->push(static_cast<std::uint64_t>(process), core::close_command{std::move(run)});
}

void process_host::terminate(process_handle process, std::int64_t grace_ms) {
  core_->push(static_cast<std::uint64_t>(process), core::terminate_command{grace_ms});
}

void process_host::kill(process_handle process) {
  core_->push(static_cast<std::uint64_t>(process), core::kill_command{});
}

const process_host::capabilities& process_host::probed() const {
  return core_->probed;
}

} // namespace runledger::harness
