#include "actors/harness/running_process.hpp"

#include "events/json.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

namespace runledger::harness {

namespace {

constexpr std::size_t read_bytes = 256 << 10;
constexpr std::size_t errors_head_bytes = 2048;
constexpr std::size_t pipe_bytes = 256 << 10;
constexpr std::int64_t watch_interval_ms = 1000;
constexpr std::int64_t watch_processes_interval_ms = 50;
constexpr std::int64_t disk_interval_ms = 2000;
constexpr std::int64_t disk_slice_ms = 20;
constexpr int disk_slice_entries = 512;
constexpr std::int64_t reap_interval_ms = 5;
constexpr std::int64_t setup_patience_ms = 2000;
/// bubblewrap itself and the first process of its pid namespace.
constexpr std::uint32_t own_processes = 2;

int send_signal(const unique_fd& pidfd, int signal) {
  return pidfd ? static_cast<int>(::syscall(SYS_pidfd_send_signal, pidfd.raw(), signal, nullptr, 0))
               : 0;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

std::int64_t milliseconds(const timeval& t) {
  return std::int64_t{t.tv_sec} * 1000 + t.tv_usec / 1000;
}

/// The read buffer of the host's thread.
std::string& read_buffer() {
  thread_local std::string buffer(read_bytes, '\0');
  return buffer;
}

} // namespace

running_process::running_process(std::uint64_t id, process_spec spec,
                                 std::shared_ptr<process_sink> sink, host_context& host)
    : id_(id),
      spec_(std::move(spec)),
      sink_(std::move(sink)),
      host_(host),
      last_run_(spec_.run),
      byte_rate_(spec_.output.bytes_per_second, spec_.output.burst_bytes),
      line_rate_(spec_.output.lines_per_second, spec_.output.burst_lines) {}

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

// --- Start

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
  if (!spawn_with_pipes(*prepared))
    return;
  spec_.environment.clear(); // No longer than needed.
  host_.records.add({pid_}, group_.folders());
  auto now = host_.loop.now_ms();
  input_moved_ms_ = now;
  arm(timer::ready, now + spec_.ready_timeout_ms);
  arm(timer::watch, now + (poll_processes_ ? watch_processes_interval_ms : watch_interval_ms));
  next_disk_ms_ = now + disk_interval_ms;
}

bool running_process::spawn_with_pipes(launch& l) {
  auto in = make_pipe();
  auto out = make_pipe();
  auto errors = make_pipe();
  auto status = make_pipe();
  auto block = make_pipe();
  if (!in.read || !out.read || !errors.read || !status.read || !block.read) {
    refuse({"start_failed", "no more pipes"});
    return false;
  }
  l.plan.descriptors = {in.read.raw(), out.write.raw(), errors.write.raw()};
  if (namespaced_)
    for (int fd :
         {l.arguments.raw(), status.write.raw(), block.read.raw(), l.filter.raw(), l.hosts.raw()})
      l.plan.descriptors.push_back(fd);
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
  return true;
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
    rlimit most{spec_.resources.processes + own_processes,
                spec_.resources.processes + own_processes};
    if (::prlimit(pid, RLIMIT_NPROC, &most, nullptr) != 0)
      stop("sandbox_unavailable", std::string{"RLIMIT_NPROC: "} + std::strerror(errno));
  }
  if (kill_wanted_ || !stop_reason_.empty())
    return kill_tree();
  host_.records.add({pid_, inner_pid_}, group_.folders());
  write_all(block_.raw(), "1");
  block_.reset();
}

// --- Bytes

void running_process::write(std::string_view lines) {
  if (!input_ || exited_ || kill_wanted_)
    return;
  outgoing_.append(lines);
}

void running_process::flush() {
  while (input_ && sent_ < outgoing_.size()) {
    auto n = ::write(input_.raw(), outgoing_.data() + sent_, outgoing_.size() - sent_);
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0 && errno == EAGAIN)
      break;
    if (n < 0) { // It closed its stdin.
      drop(input_);
      outgoing_.clear();
      sent_ = 0;
      return;
    }
    sent_ += static_cast<std::size_t>(n);
    input_moved_ms_ = host_.loop.now_ms();
  }
  if (sent_ == outgoing_.size()) {
    outgoing_.clear();
    sent_ = 0;
  } else if (sent_ > outgoing_.size() / 2) {
    outgoing_.erase(0, sent_);
    sent_ = 0;
  }
  bool waiting = !outgoing_.empty();
  if (input_ && waiting != input_watched_) {
    if (waiting)
      host_.loop.add(input_.raw(), id_, slot::input, true);
    else
      host_.loop.remove(input_.raw());
    input_watched_ = waiting;
  }
  if (outgoing_.size() - sent_ > spec_.write_backlog_bytes)
    check_stall();
}

void running_process::check_stall() {
  auto waiting = outgoing_.size() - sent_;
  if (!input_ || waiting <= spec_.write_backlog_bytes)
    return;
  auto until = input_moved_ms_ + spec_.write_stall_ms;
  if (until > host_.loop.now_ms() && waiting <= 16 * spec_.write_backlog_bytes)
    return arm(timer::stall, until);
  stop("stdin_backlog", "it does not read its stdin: " + std::to_string(waiting) + " bytes wait");
  kill_tree();
}

void running_process::read_output() {
  auto& buffer = read_buffer();
  for (int round = 0; round < 4 && output_; ++round) {
    auto n = ::read(output_.raw(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0)
      return drop(output_);
    if (muted_)
      continue;
    std::string_view bytes{buffer.data(), static_cast<std::size_t>(n)};
    if (!byte_rate_.take(bytes.size(), host_.loop.now_ms()))
      return protocol_failure(refuse_line("too much output: over "
                                              + std::to_string(spec_.output.bytes_per_second)
                                              + " bytes a second",
                                          bytes.substr(0, bytes.find('\n'))));
    if (!lines_.feed(bytes, [this](std::string_view line) { return on_line(line); }))
      return protocol_failure(refuse_line("line over 1 MiB", lines_.rest()));
  }
}

void running_process::read_errors() {
  auto& buffer = read_buffer();
  for (int round = 0; round < 4 && errors_; ++round) {
    auto n = ::read(errors_.raw(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0)
      return drop(errors_);
    std::string_view bytes{buffer.data(), static_cast<std::size_t>(n)};
    errors_head_.append(
        bytes.substr(0, errors_head_bytes - std::min(errors_head_bytes, errors_head_.size())));
    for (auto& [name, run] : runs_)
      run.log.append(bytes);
  }
}

/// False ends the reading of what else has arrived.
bool running_process::on_line(std::string_view line) {
  if (!line_rate_.take(1, host_.loop.now_ms())) {
    protocol_failure(refuse_line("too many lines: over "
                                     + std::to_string(spec_.output.lines_per_second) + " a second",
                                 line));
    return false;
  }
  auto parsed = parse_frame(line);
  if (!parsed) {
    protocol_failure(parsed.error());
    return false;
  }
  auto& f = *parsed;
  if (!ready_ || f.type == frame_type::ready) {
    if (ready_ || f.type != frame_type::ready) {
      protocol_failure(
          refuse_line(ready_ ? "a second `ready`" : "the first line must be `ready`", line));
      return false;
    }
    return on_first_line(f);
  }
  if (!fill_in_run(f, line))
    return false;
  touch(f);
  if (f.type != frame_type::heartbeat)
    sink_->on_frame(std::move(f));
  return !muted_;
}

bool running_process::on_first_line(frame& f) {
  ready_ = true;
  max_runs_ = f.max_runs;
  last_any_ms_ = host_.loop.now_ms();
  check_heartbeats();
  sink_->on_ready(max_runs_, layers_);
  return !muted_;
}

/// A process with one run may leave it out.
bool running_process::fill_in_run(frame& f, std::string_view line) {
  if (f.run.empty() && f.type == frame_type::heartbeat)
    return true;
  if (f.run.empty() && (max_runs_ == 1 || !spec_.run.empty())) {
    f.run = runs_.size() == 1 ? runs_.begin()->first : last_run_;
    if (!f.run.empty())
      return true;
  }
  if (f.run.empty()) {
    protocol_failure(refuse_line("`run` is missing", line));
    return false;
  }
  if (!spec_.run.empty() && f.run != spec_.run) {
    protocol_failure(refuse_line("another process's `run`", line));
    return false;
  }
  return true;
}

void running_process::touch(const frame& f) {
  auto now = host_.loop.now_ms();
  if (runs_.size() <= 1 || f.run.empty())
    last_any_ms_ = now;
  else if (auto run = runs_.find(f.run); run != runs_.end())
    run->second.last_ms = now;
}

void running_process::protocol_failure(protocol_error error) {
  if (muted_)
    return;
  muted_ = true;
  stop("protocol_error", error.text());
  kill_tree();
  sink_->on_protocol_error(error);
}

// --- Runs, heartbeats and other limits

void running_process::open_run(const std::string& run, std::int64_t heartbeat_ms,
                               const std::string& log) {
  auto now = host_.loop.now_ms();
  auto& state = runs_[run];
  state = {heartbeat_ms, now, false, raw_log{log, host_.options.raw_log_bytes}};
  last_run_ = run;
  if (heartbeat_ms > 0)
    arm(timer::heartbeat, now + heartbeat_ms);
}

void running_process::close_run(const std::string& run) {
  runs_.erase(run);
}

void running_process::check_heartbeats() {
  if (!ready_) // Until then the time for `ready` runs.
    return;
  auto now = host_.loop.now_ms();
  std::int64_t next = 0;
  std::vector<std::string> lost;
  for (auto& [name, run] : runs_) {
    if (run.heartbeat_ms <= 0)
      continue;
    auto until = std::max(run.last_ms, last_any_ms_) + run.heartbeat_ms;
    if (until <= now) {
      if (!run.lost && !muted_)
        lost.push_back(name);
      run.lost = true;
      until = now + run.heartbeat_ms;
    } else {
      run.lost = false;
    }
    next = next == 0 ? until : std::min(next, until);
  }
  if (next != 0)
    arm(timer::heartbeat, next);
  for (const auto& name : lost)
    sink_->on_heartbeat_lost(name);
}

void running_process::watch() {
  if (exited_)
    return;
  watch_disk();
  watch_tree();
  auto now = host_.loop.now_ms();
  auto wait = poll_processes_ ? watch_processes_interval_ms
              : disk_         ? disk_slice_ms
                              : watch_interval_ms;
  arm(timer::watch, now + wait);
}

void running_process::watch_disk() {
  auto now = host_.loop.now_ms();
  if (!disk_) {
    if (now < next_disk_ms_)
      return;
    std::vector<std::string> folders;
    if (!spec_.run.empty())
      folders.push_back(spec_.work_dir);
    else
      for (const auto& [name, run] : runs_)
        folders.push_back(spec_.work_dir + "/" + name);
    disk_ = std::make_unique<disk_usage>(std::move(folders));
  }
  auto bytes = disk_->advance(disk_slice_entries);
  if (!bytes)
    return;
  disk_.reset();
  next_disk_ms_ = now + disk_interval_ms;
  auto factor = spec_.run.empty() ? std::max<std::uint64_t>(runs_.size(), 1) : 1;
  if (*bytes <= (spec_.resources.disk_mb << 20) * factor)
    return;
  stop("disk_limit",
       "its work folder holds more than " + std::to_string(spec_.resources.disk_mb) + " MB");
  kill_tree();
}

void running_process::watch_tree() {
  if (!poll_processes_ && !spec_.resources.cpu_seconds)
    return;
  auto cpu = group_.cpu_ms();
  std::vector<process_stat> tree;
  if (poll_processes_ || !cpu)
    tree = descendants(all_processes(), pid_);
  if (!cpu) {
    cpu = read_stat(pid_).value_or(process_stat{}).cpu_ms;
    for (const auto& one : tree)
      *cpu += one.cpu_ms;
  }
  if (spec_.resources.cpu_seconds
      && *cpu > static_cast<std::int64_t>(*spec_.resources.cpu_seconds) * 1000) {
    stop("cpu_limit", "it used more than " + std::to_string(*spec_.resources.cpu_seconds)
                          + " s of processor time");
    return kill_tree();
  }
  auto most = spec_.resources.processes - (namespaced_ ? 0 : 1) + (namespaced_ ? 1 : 0);
  if (poll_processes_ && tree.size() > most) {
    stop("process_limit",
         "it ran more than " + std::to_string(spec_.resources.processes) + " processes");
    kill_tree();
  }
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
  }
}

// --- End

/// The first reason stays.
void running_process::stop(const char* reason, std::string message) {
  if (!stop_reason_.empty())
    return;
  stop_reason_ = reason;
  stop_message_ = std::move(message);
}

void running_process::terminate(std::int64_t grace_ms) {
  if (exited_ || kill_wanted_)
    return;
  stop("stopped", "ended by the server");
  if (namespaced_ && inner_pid_ == 0)
    return kill_tree();
  signal_members(SIGTERM);
  arm(timer::grace, host_.loop.now_ms() + std::max<std::int64_t>(grace_ms, 0));
}

void running_process::kill() {
  if (exited_)
    return;
  stop("stopped", "ended by the server");
  kill_tree();
}

void running_process::kill_tree() {
  kill_wanted_ = true;
  if (tree_gone_) // Its pids may belong to others by now.
    return;
  if (!namespaced_)
    return signal_members(SIGKILL);
  auto now = host_.loop.now_ms();
  if (kill_since_ms_ == 0)
    kill_since_ms_ = now;
  // The end of the first process in the namespace is the end of all; bubblewrap then reaps it and
  // follows. As long as it is not known it might outlive bubblewrap: adopt_inner comes back here.
  send_signal(inner_pidfd_, SIGKILL);
  if (now - kill_since_ms_ >= setup_patience_ms)
    send_signal(pidfd_, SIGKILL);
  else
    arm(timer::grace, kill_since_ms_ + setup_patience_ms);
}

std::vector<pid_t> running_process::members() const {
  std::vector<pid_t> out = group_.members();
  if (!out.empty())
    return out;
  auto all = all_processes();
  for (const auto& one : descendants(all, pid_))
    out.push_back(one.pid);
  if (namespaced_)
    return out;
  // Without a namespace or a group: those that left the family but not the session, and those that
  // still carry the run's name.
  for (const auto& one : all)
    if (one.session == pid_ || one.group == pid_
        || (!spec_.run.empty() && one.pid != ::getpid()
            && has_environment(one.pid, "RUNLEDGER_RUN_ID=" + spec_.run)))
      out.push_back(one.pid);
  return out;
}

void running_process::signal_members(int signal) {
  for (pid_t pid : members()) {
    // bubblewrap and the namespace's first process would take the others with them.
    if (namespaced_ && (pid == pid_ || pid == inner_pid_))
      continue;
    ::kill(pid, signal);
    signalled_.insert(pid);
  }
}

void running_process::on_main_exit() {
  if (exited_)
    return;
  exited_ = true;
  host_.loop.remove(pidfd_.raw());
  read_status();
  drop(status_);
  if (namespaced_)
    reap();
  // An orphan in the background keeps the namespace's first process alive until its parent's death
  // signal arrives.
  send_signal(inner_pidfd_, SIGKILL);
  if (inner_pid_ == 0)
    inner_gone_ = true;
  try_finish();
}

void running_process::reap() {
  while (::wait4(pid_, &wait_status_, 0, &usage_) < 0 && errno == EINTR) {
  }
}

/// Orphans come to the server (it is their subreaper), whose init may be nobody that reaps.
void running_process::reap_orphans() {
  if (inner_pid_ != 0)
    ::waitpid(inner_pid_, nullptr, WNOHANG);
  if (namespaced_)
    return;
  // Who left the server's session and is no main process came from a harness, this one or another.
  auto session = ::getsid(0);
  for (const auto& one : all_processes())
    if (one.zombie && one.parent == ::getpid() && one.session != session
        && !host_.main_pids.contains(one.pid))
      signalled_.insert(one.pid);
  for (pid_t pid : signalled_)
    if (pid != pid_)
      ::waitpid(pid, nullptr, WNOHANG);
}

void running_process::abandon() {
  stop("stopped", "the server stopped before the process did");
  finish();
}

bool running_process::leftovers_gone() {
  bool gone = true;
  for (pid_t pid : members()) {
    auto stat = read_stat(pid);
    if (pid == pid_ || !stat || stat->zombie)
      continue;
    ::kill(pid, SIGKILL);
    signalled_.insert(pid);
    gone = false;
  }
  return gone;
}

void running_process::try_finish() {
  if (!exited_ || done_)
    return;
  if (namespaced_ ? !inner_gone_ : !leftovers_gone()) {
    if (!namespaced_)
      arm(timer::reap, host_.loop.now_ms() + reap_interval_ms);
    return;
  }
  tree_gone_ = true;
  reap_orphans();
  if (!namespaced_)
    reap();
  drain_output();
  // A last line without its line feed counts if it is whole.
  if (!muted_ && !lines_.rest().empty() && parse_frame(lines_.rest()))
    on_line(std::string{lines_.rest()});
  for (int round = 0; round < 64 && errors_; ++round)
    read_errors();
  finish();
}

/// Everybody who could write is gone: the end of the pipe comes, or nothing more.
void running_process::drain_output() {
  while (output_) {
    read_output();
    int waiting = 0;
    if (output_ && (::ioctl(output_.raw(), FIONREAD, &waiting) != 0 || waiting == 0))
      drop(output_);
  }
}

void running_process::finish() {
  done_ = true;
  auto info = describe_exit();
  for (auto* fd : {&pidfd_, &inner_pidfd_, &input_, &output_, &errors_, &status_})
    drop(*fd);
  block_.reset();
  runs_.clear();
  if (pid_ != 0)
    host_.records.remove(pid_);
  host_.main_pids.erase(pid_);
  if (!group_.remove())
    host_.leftover_groups.push_back(std::move(group_));
  sink_->on_exit(info);
}

exit_info running_process::describe_exit() {
  exit_info info;
  info.layers = layers_;
  info.reason = stop_reason_;
  info.message = stop_message_;
  if (pid_ == 0)
    return info;
  info.user_ms = milliseconds(usage_.ru_utime);
  info.system_ms = milliseconds(usage_.ru_stime);
  info.max_rss_kb = usage_.ru_maxrss;
  if (WIFEXITED(wait_status_))
    info.code = WEXITSTATUS(wait_status_);
  else if (WIFSIGNALED(wait_status_))
    info.signal = WTERMSIG(wait_status_);
  if (namespaced_ && info.code > 128
      && info.code <= 128 + SIGRTMAX) { // As bubblewrap passes it on.
    info.signal = info.code - 128;
    info.code = -1;
  }
  if (!info.reason.empty())
    return info;
  if (namespaced_ && !set_up_) {
    describe_failed_setup(info);
  } else if (info.signal == SIGKILL && group_.ran_out_of_memory()) {
    info.reason = "memory_limit";
    info.message =
        "it used more than " + std::to_string(spec_.resources.memory_mb) + " MB of memory";
  } else if (info.signal == SIGXCPU && spec_.resources.cpu_seconds) {
    info.reason = "cpu_limit";
    info.message = "it used more than " + std::to_string(*spec_.resources.cpu_seconds)
                   + " s of processor time";
  } else if (info.signal == SIGXFSZ) {
    info.reason = "disk_limit";
    info.message =
        "it wrote a file of more than " + std::to_string(spec_.resources.disk_mb) + " MB";
  } else if (info.signal != 0) {
    info.reason = "signalled";
    info.message = std::string{"ended by SIG"} + ::sigabbrev_np(info.signal);
  } else {
    info.reason = "exited";
    info.message = "exit status " + std::to_string(info.code);
  }
  if (group_.ran_out_of_processes())
    info.message +=
        "; a new process was refused, the limit is " + std::to_string(spec_.resources.processes);
  return info;
}

/// The command never ran, so what stderr has is bubblewrap's.
void running_process::describe_failed_setup(exit_info& info) const {
  std::string_view said = errors_head_;
  said = said.substr(0, said.find('\n'));
  bool layer = contains(said, "namespace") || contains(said, "seccomp")
               || contains(said, "capabilit") || contains(said, "loopback") || said.empty();
  info.reason = layer ? "sandbox_unavailable" : "start_failed";
  info.message = said.empty() ? "bubblewrap failed" : std::string{said};
}

} // namespace runledger::harness
