#include "actors/harness/running_process.hpp"

#include "events/json.hpp"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

// How a process begins, and where its events go.

namespace runledger::harness {

namespace {

constexpr std::size_t pipe_bytes = 256 << 10;
constexpr std::int64_t first_watch_ms = 50;
constexpr std::int64_t first_disk_ms = 2000;
/// bubblewrap itself and the first process of its pid namespace.
constexpr std::uint32_t own_processes = 2;

/// A pipe whose other end can tell when the one byte in it was read: it has room for no more.
pipe_ends make_note() {
  constexpr int one_page = 4096;
  auto pipe = make_pipe();
  if (!pipe.write || ::fcntl(pipe.write.raw(), F_SETPIPE_SZ, one_page) < 0
      || !write_all(pipe.write.raw(), "\n"))
    return {};
  return pipe;
}

} // namespace

running_process::running_process(std::uint64_t id, process_spec spec,
                                 std::shared_ptr<process_sink> sink, host_context& host)
    : id_(id),
      spec_(std::move(spec)),
      sink_(std::move(sink)),
      host_(host),
      last_run_(spec_.run),
      byte_rate_(own_output().bytes_per_second, own_output().burst_bytes),
      line_rate_(own_output().lines_per_second, own_output().burst_lines) {}

running_process::~running_process() = default;

void running_process::arm(timer kind, std::int64_t when) {
  auto& armed = armed_[static_cast<std::size_t>(kind)];
  if (armed != 0 && armed <= when)
    return;
  armed = when;
  host_.loop.arm(id_, kind, when);
}

void running_process::drop(unique_fd& fd) {
  if (fd)
    host_.loop.remove(fd.raw());
  fd.reset();
}

result<launch, start_refusal> running_process::prepare() {
  if (auto folder = prepare_work_dir(spec_.work_dir); !folder)
    return folder.error();
  auto files = cache_files(host_.options.data_dir, spec_.files);
  if (!files)
    return files.error();
  return prepare_launch(spec_, host_.probe, host_.options.bubblewrap, *files);
}

/// Control groups where there are any, else what comes closest.
void running_process::limit(launch& l) {
  const auto& r = spec_.resources;
  cgroup_limits limits{r.memory_mb << 20, r.processes + (l.namespaced ? own_processes : 0)};
  static std::atomic<std::uint64_t> made{0};
  auto name = "runledger-" + std::to_string(::getpid()) + "-" + std::to_string(++made);
  if (host_.cgroups.any())
    group_ = cgroup_slot{host_.cgroups, name, limits};
  l.plan.cgroup_procs = group_.procs_files();
  l.layers.insert(l.layers.end(), group_.layers().begin(), group_.layers().end());
  if (!group_.limits_memory()) {
    // Not RLIMIT_AS: runtimes that only reserve gigabytes of addresses would not start.
    rlimit data{r.memory_mb << 20, r.memory_mb << 20};
    l.plan.limits.emplace_back(RLIMIT_DATA, data);
    l.layers.emplace_back("rlimit:data");
  }
  if (!group_.limits_processes()) {
    // RLIMIT_NPROC counts per user namespace, and never binds the real root.
    limit_processes_inside_ = l.namespaced && ::geteuid() != 0;
    poll_processes_ = !limit_processes_inside_;
    l.layers.emplace_back(poll_processes_ ? "poll:processes" : "rlimit:nproc");
  }
  if (r.cpu_seconds)
    l.layers.emplace_back("poll:cpu");
  l.layers.emplace_back("poll:disk");
}

void running_process::start() {
  auto prepared = prepare();
  if (!prepared)
    return refuse(prepared.error());
  limit(*prepared);
  namespaced_ = prepared->namespaced;
  layers_ = prepared->layers;
  mounts_ = std::move(prepared->mounts);
  if (!spawn_with_pipes(*prepared))
    return;
  spec_.environment.clear(); // No longer than needed.
  host_.records.add({pid_}, group_.folders());
  auto now = host_.loop.now_ms();
  input_moved_ms_ = now;
  arm(timer::ready, now + spec_.ready_timeout_ms);
  arm(timer::watch, now + first_watch_ms);
  next_disk_ms_ = now + first_disk_ms;
  sink_->on_started(layers_);
}

bool running_process::spawn_with_pipes(launch& l) {
  auto in = make_pipe();
  auto out = make_pipe();
  auto errors = make_pipe();
  auto status = make_pipe();
  auto block = make_pipe();
  auto mounted = mounts_.empty() ? pipe_ends{} : make_note();
  if (!in.read || !out.read || !errors.read || !status.read || !block.read
      || (!mounts_.empty() && !mounted.read)) {
    refuse({"start_failed", "no more pipes"});
    return false;
  }
  l.plan.descriptors = {in.read.raw(), out.write.raw(), errors.write.raw()};
  if (namespaced_)
    for (int fd :
         {l.arguments.raw(), status.write.raw(), block.read.raw(), l.filter.raw(), l.hosts.raw()})
      l.plan.descriptors.push_back(fd);
  if (mounted.read)
    l.plan.descriptors.push_back(mounted.read.raw());
  auto child = spawn(l.plan);
  if (!child) {
    refuse({"start_failed", child.error()});
    return false;
  }
  pid_ = child->pid;
  host_.main_pids.insert(pid_);
  pidfd_ = std::move(child->pidfd);
  input_ = std::move(in.write);
  output_ = std::move(out.read);
  errors_ = std::move(errors.read);
  ::fcntl(output_.raw(), F_SETPIPE_SZ, pipe_bytes); // As much as the user's share allows.
  for (const auto* fd : {&input_, &output_, &errors_, &status.read})
    set_nonblocking(fd->raw());
  host_.loop.add(pidfd_.raw(), id_, slot::pidfd);
  host_.loop.add(output_.raw(), id_, slot::output);
  host_.loop.add(errors_.raw(), id_, slot::errors);
  if (namespaced_) {
    status_ = std::move(status.read);
    block_ = std::move(block.write);
    host_.loop.add(status_.raw(), id_, slot::status);
  }
  if (mounted.write) {
    mounted_ = std::move(mounted.write);
    host_.loop.add(mounted_.raw(), id_, slot::mounts, true);
  }
  return true;
}

/// bubblewrap mounts by path, so the result is compared before it may go on. It has read the note
/// when it has mounted everything before it, and waits for the note's end. By then it has told who
/// the inner process is.
void running_process::on_mounted() {
  read_status();
  int unread = 0;
  bool gone = ::ioctl(mounted_.raw(), FIONREAD, &unread) != 0 || unread > 0 || inner_pid_ == 0;
  auto same = compare_mounts(inner_pid_, mounts_);
  if (!gone && !same) {
    stop(same.error().reason.c_str(), same.error().message);
    kill_tree();
  }
  mounts_.clear();
  drop(mounted_);
}

void running_process::refuse(const start_refusal& refusal) {
  stop(refusal.reason.c_str(), refusal.message);
  finish();
}

void running_process::read_status() {
  char buffer[1024];
  while (status_) {
    auto n = ::read(status_.raw(), buffer, sizeof buffer);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0)
      return drop(status_);
    status_text_.append(buffer, static_cast<std::size_t>(n));
    for (std::size_t end = 0; (end = status_text_.find('\n')) != std::string::npos;) {
      on_status_line(std::string_view{status_text_}.substr(0, end));
      status_text_.erase(0, end + 1);
    }
  }
}

void running_process::on_status_line(std::string_view line) {
  auto parsed = json::parse(line);
  if (!parsed || !parsed->root().is_object())
    return;
  if (auto pid = parsed->root().find("child-pid"); pid && pid->is_number() && inner_pid_ == 0)
    adopt_inner(static_cast<pid_t>(pid->integer().value_or(0)));
  if (parsed->root().find("exit-code"))
    set_up_ = true;
}

/// The first process of the pid namespace waits until it is let go.
void running_process::adopt_inner(pid_t pid) {
  inner_pid_ = pid;
  inner_pidfd_ = unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (inner_pidfd_)
    host_.loop.add(inner_pidfd_.raw(), id_, slot::inner);
  else
    inner_gone_ = true;
  if (limit_processes_inside_) {
    rlim_t n =
        spec_.resources.processes + 1; // Itself counts in its namespace, bubblewrap does not.
    rlimit most{n, n};
    if (::prlimit(pid, RLIMIT_NPROC, &most, nullptr) != 0)
      stop("sandbox_unavailable", std::string{"RLIMIT_NPROC: "} + std::strerror(errno));
  }
  if (kill_wanted_ || !stop_reason_.empty())
    return kill_tree();
  host_.records.add({pid_, inner_pid_}, group_.folders());
  write_all(block_.raw(), "1");
  block_.reset();
}

void running_process::on_timer(timer kind) {
  auto& armed = armed_[static_cast<std::size_t>(kind)];
  if (done_ || armed == 0 || host_.loop.now_ms() < armed)
    return;
  armed = 0;
  switch (kind) {
    case timer::ready:
      if (!ready_ && !exited_) {
        stop("not_ready", "no `ready` within " + std::to_string(spec_.ready_timeout_ms) + " ms");
        kill_tree();
      }
      return;
    case timer::heartbeat:
      return check_heartbeats();
    case timer::grace:
      return kill_tree();
    case timer::stall:
      return check_stall();
    case timer::watch:
      return watch();
    case timer::reap:
      return try_finish();
  }
}

void running_process::on_descriptor(slot what) {
  if (done_)
    return;
  switch (what) {
    case slot::pidfd:
      return on_main_exit();
    case slot::inner:
      inner_gone_ = true;
      drop(inner_pidfd_);
      return try_finish();
    case slot::input:
      return flush();
    case slot::output:
      return read_output();
    case slot::errors:
      return read_errors();
    case slot::status:
      return read_status();
    case slot::mounts:
      return on_mounted();
  }
}

} // namespace runledger::harness
