#include "actors/harness/process_tree.hpp"

#include "actors/harness/cgroup.hpp"
#include "actors/harness/fd.hpp"
#include "actors/harness/process_host.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <dirent.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace runledger::harness {

namespace {

std::string slurp(const std::string& path) {
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string out;
  char buffer[4096];
  ssize_t n = 0;
  while (file && (n = ::read(file.raw(), buffer, sizeof buffer)) > 0)
    out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

std::string boot_id() {
  auto id = slurp("/proc/sys/kernel/random/boot_id");
  while (!id.empty() && id.back() == '\n')
    id.pop_back();
  return id;
}

/// SIGKILL, if `pid` is still the process that started at `start_ticks`.
bool kill_exactly(pid_t pid, std::uint64_t start_ticks) {
  unique_fd pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  // The descriptor is taken first: what the check then sees is what the signal will hit.
  auto stat = read_stat(pid);
  if (!pidfd || !stat || stat->start_ticks != start_ticks || stat->zombie)
    return false;
  return ::syscall(SYS_pidfd_send_signal, pidfd.raw(), SIGKILL, nullptr, 0) == 0;
}

/// Ends what one record names; returns how many processes.
std::size_t sweep_record(const std::string& text, const std::string& boot) {
  std::istringstream lines{text};
  std::string word;
  std::size_t killed = 0;
  std::string recorded_boot;
  std::vector<std::string> groups;
  while (lines >> word) {
    if (word == "boot") {
      lines >> recorded_boot;
    } else if (word == "pid") {
      pid_t pid = 0;
      std::uint64_t start = 0;
      if (lines >> pid >> start && pid > 1 && recorded_boot == boot)
        killed += kill_exactly(pid, start);
    } else if (word == "cgroup") {
      std::getline(lines >> std::ws, word);
      groups.push_back(word);
    }
  }
  if (recorded_boot != boot)
    return killed;
  // A group that we made holds only what we put there.
  std::erase_if(groups, [](const std::string& group) {
    return !std::filesystem::path{group}.filename().string().starts_with("runledger-");
  });
  for (const auto& group : groups)
    for (pid_t pid : cgroup_members(group))
      if (auto stat = read_stat(pid))
        killed += kill_exactly(pid, stat->start_ticks);
  std::vector<cgroup_slot> slots;
  slots.emplace_back(std::move(groups));
  remove_patiently(slots);
  return killed;
}

} // namespace

std::optional<process_stat> read_stat(pid_t pid) {
  auto text = slurp(proc_path(pid, "stat"));
  // The name in brackets may hold anything, so what counts begins behind its last bracket.
  auto end = text.rfind(')');
  if (end == std::string::npos)
    return std::nullopt;
  std::istringstream fields{text.substr(end + 1)};
  process_stat out;
  out.pid = pid;
  char state = 0;
  std::string skip;
  std::int64_t ticks = 0;
  fields >> state >> out.parent >> out.group >> out.session;
  for (int i = 0; i < 7; ++i)
    fields >> skip;
  for (int i = 0; i < 4; ++i) {
    std::int64_t n = 0;
    fields >> n;
    ticks += n;
  }
  for (int i = 0; i < 4; ++i)
    fields >> skip;
  if (!(fields >> out.start_ticks))
    return std::nullopt;
  static const long per_second = ::sysconf(_SC_CLK_TCK);
  out.cpu_ms = ticks * 1000 / per_second;
  out.zombie = state == 'Z' || state == 'X';
  return out;
}

std::vector<process_stat> all_processes() {
  std::vector<process_stat> out;
  std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), ::closedir};
  while (auto* entry = proc ? ::readdir(proc.get()) : nullptr) {
    std::string_view name = entry->d_name;
    pid_t pid = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc{} || end != name.data() + name.size())
      continue;
    if (auto stat = read_stat(pid))
      out.push_back(*stat);
  }
  return out;
}

std::vector<process_stat> descendants(const std::vector<process_stat>& all, pid_t root) {
  std::vector<process_stat> out;
  std::vector<pid_t> parents{root};
  for (std::size_t i = 0; i < parents.size(); ++i)
    for (const auto& stat : all)
      if (stat.parent == parents[i]) {
        out.push_back(stat);
        parents.push_back(stat.pid);
      }
  return out;
}

bool has_environment(pid_t pid, const std::string& entry) {
  auto text = slurp(proc_path(pid, "environ"));
  text.insert(text.begin(), '\0');
  return text.find('\0' + entry + '\0') != std::string::npos;
}

process_records::process_records(const std::string& data_dir)
    : folder_(data_dir + "/processes"), boot_(boot_id()) {
  std::filesystem::create_directories(folder_);
  ::chmod(folder_.c_str(), 0700);
}

void process_records::add(const std::vector<pid_t>& pids,
                          const std::vector<std::string>& cgroups) const {
  std::string text = "boot " + boot_ + "\n";
  for (pid_t pid : pids)
    if (auto stat = read_stat(pid))
      text += "pid " + std::to_string(pid) + " " + std::to_string(stat->start_ticks) + "\n";
  for (const auto& group : cgroups)
    text += "cgroup " + group + "\n";
  auto path = folder_ + "/" + std::to_string(pids.front());
  auto fresh = path + ".new";
  unique_fd file{
      ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600)};
  if (file && write_all(file.raw(), text))
    ::rename(fresh.c_str(), path.c_str());
}

void process_records::remove(pid_t first) const {
  ::unlink((folder_ + "/" + std::to_string(first)).c_str());
}

std::size_t sweep_processes(const std::string& data_dir) {
  std::size_t killed = 0;
  std::error_code error;
  auto boot = boot_id();
  for (const auto& entry : std::filesystem::directory_iterator{data_dir + "/processes", error}) {
    killed += sweep_record(slurp(entry.path().string()), boot);
    std::filesystem::remove(entry.path(), error);
  }
  return killed;
}

} // namespace runledger::harness
