#include "actors/harness/running_process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

// What a process may use, and how its whole tree ends.

namespace runledger::harness {

namespace {

constexpr std::int64_t watch_interval_ms = 1000;
constexpr std::int64_t watch_processes_interval_ms = 50;
constexpr std::int64_t disk_interval_ms = 2000;
constexpr std::int64_t disk_slice_ms = 20;
constexpr int disk_slice_entries = 512;
constexpr std::int64_t reap_interval_ms = 5;
constexpr std::int64_t setup_patience_ms = 2000;

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

} // namespace

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
  if (!group_.empty())
    return group_.members();
  std::vector<pid_t> out;
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
  for (auto* fd : {&pidfd_, &inner_pidfd_, &input_, &output_, &errors_, &status_, &mounted_})
    drop(*fd);
  block_.reset();
  runs_.clear();
  last_words_ = {};
  if (pid_ != 0)
    host_.records.remove(pid_);
  host_.main_pids.erase(pid_);
  if (!group_.remove())
    host_.leftover_groups.push_back(std::move(group_));
  deliver_frames();
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
