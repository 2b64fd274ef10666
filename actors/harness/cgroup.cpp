#include "actors/harness/cgroup.hpp"

#include "actors/harness/fd.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace runledger::harness {

namespace {

bool write_file(const std::string& path, std::string_view text) {
  unique_fd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)};
  return file && ::write(file.raw(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

std::string read_file(const std::string& path) {
  unique_fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  std::string out;
  char buffer[4096];
  ssize_t n = 0;
  while (file && (n = ::read(file.raw(), buffer, sizeof buffer)) > 0)
    out.append(buffer, static_cast<std::size_t>(n));
  return out;
}

/// The number behind `name ` in a file of such lines, or of the file itself where the name is
/// empty.
std::optional<std::int64_t> number_in(const std::string& path, std::string_view name) {
  std::istringstream text{read_file(path)};
  std::string word;
  while (name.empty() || text >> word) {
    std::int64_t value = 0;
    if (!name.empty() && word != name)
      continue;
    if (text >> value)
      return value;
    return std::nullopt;
  }
  return std::nullopt;
}

/// One mounted hierarchy.
struct hierarchy {
  std::string root; // The path inside the hierarchy that is mounted.
  std::string mount_point;
  std::string options; // Super options: version 1 lists its controllers.
  bool unified;
};

std::vector<hierarchy> hierarchies(const std::string& proc_self) {
  std::vector<hierarchy> out;
  std::ifstream mounts{proc_self + "/mountinfo"};
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields{line};
    std::string skip;
    hierarchy h;
    fields >> skip >> skip >> skip >> h.root >> h.mount_point;
    while (fields >> skip && skip != "-") {
    }
    std::string type;
    fields >> type >> skip >> h.options;
    h.unified = type == "cgroup2";
    if (h.unified || type == "cgroup")
      out.push_back(h);
  }
  return out;
}

bool lists(std::string_view comma_list, std::string_view word) {
  while (!comma_list.empty()) {
    auto end = std::min(comma_list.find(','), comma_list.size());
    if (comma_list.substr(0, end) == word)
      return true;
    comma_list.remove_prefix(std::min(end + 1, comma_list.size()));
  }
  return false;
}

/// Our group as /proc/self/cgroup names it: by controller, or with an empty controller the unified
/// one.
std::optional<std::string> own_path(const std::string& proc_self, std::string_view controller) {
  std::ifstream groups{proc_self + "/cgroup"};
  for (std::string line; std::getline(groups, line);) {
    auto first = line.find(':');
    auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos)
      continue;
    auto controllers = std::string_view{line}.substr(first + 1, second - first - 1);
    if (controller.empty() ? controllers.empty() && line[0] == '0' : lists(controllers, controller))
      return line.substr(second + 1);
  }
  return std::nullopt;
}

/// Where our own group lies in the file system.
std::string own_folder(const hierarchy& h, const std::string& path) {
  std::string_view below = path;
  if (h.root != "/") {
    if (!below.starts_with(h.root))
      return h.mount_point; // A namespace shows our group as the mount's root.
    below.remove_prefix(h.root.size());
  }
  return below == "/" || below.empty() ? h.mount_point : h.mount_point + std::string{below};
}

std::string probe_name() {
  return "runledger-probe-" + std::to_string(::getpid());
}

/// The folder under which groups of a version 1 controller can be made; empty, with a reason, if
/// they cannot.
std::string find_v1(const std::vector<hierarchy>& all, const std::string& proc_self,
                    const std::string& controller, const std::string& file, std::string& reason) {
  for (const auto& h : all) {
    auto path = own_path(proc_self, controller);
    if (h.unified || !lists(h.options, controller) || !path)
      continue;
    auto parent = own_folder(h, *path);
    auto folder = parent + "/" + probe_name();
    if (::mkdir(folder.c_str(), 0755) != 0 && errno != EEXIST) {
      reason = parent + ": " + std::strerror(errno);
      continue;
    }
    bool writable = ::access((folder + "/" + file).c_str(), W_OK) == 0
                    && ::access((folder + "/cgroup.procs").c_str(), W_OK) == 0;
    ::rmdir(folder.c_str());
    if (writable)
      return parent;
    reason = parent + ": not writable";
  }
  return {};
}

bool has_word(const std::string& text, std::string_view word) {
  std::istringstream words{text};
  for (std::string w; words >> w;)
    if (w == word)
      return true;
  return false;
}

/// Version 2: groups with processes cannot hand controllers down, so the server moves into a leaf
/// of its own first and comes back where that does not help.
std::string find_unified(const std::vector<hierarchy>& all, const std::string& proc_self,
                         std::string& reason) {
  auto path = own_path(proc_self, "");
  for (const auto& h : all) {
    if (!h.unified || !path)
      continue;
    auto own = own_folder(h, *path);
    if (own.ends_with("/runledger-server"))
      own.resize(own.size() - std::string_view{"/runledger-server"}.size());
    auto offered = read_file(own + "/cgroup.controllers");
    if (!has_word(offered, "memory") || !has_word(offered, "pids")) {
      reason = own + ": controllers memory and pids are not offered";
      continue;
    }
    auto enabled = [&] {
      auto now = read_file(own + "/cgroup.subtree_control");
      return has_word(now, "memory") && has_word(now, "pids");
    };
    auto enable = [&] {
      return enabled() || write_file(own + "/cgroup.subtree_control", "+memory +pids");
    };
    auto leaf = own + "/runledger-server";
    auto self = std::to_string(::getpid());
    if (enable())
      return own;
    if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) {
      reason = own + ": " + std::strerror(errno);
      continue;
    }
    if (write_file(leaf + "/cgroup.procs", self) && enable())
      return own;
    reason = own + ": controllers cannot be handed down";
    write_file(own + "/cgroup.procs", self);
    ::rmdir(leaf.c_str());
  }
  return {};
}

} // namespace

cgroup_parents find_cgroups(std::vector<std::string>& reasons, const std::string& proc_self) {
  cgroup_parents out;
  auto all = hierarchies(proc_self);
  std::string unified_reason = "not mounted";
  out.unified = find_unified(all, proc_self, unified_reason);
  if (!out.unified.empty())
    return out;
  auto find = [&](const std::string& controller, const std::string& file) {
    std::string reason = "not mounted";
    auto folder = find_v1(all, proc_self, controller, file, reason);
    if (folder.empty())
      reasons.push_back("cgroup " + controller + ": version 1: " + reason
                        + "; version 2: " + unified_reason);
    return folder;
  };
  out.memory_v1 = find("memory", "memory.limit_in_bytes");
  out.pids_v1 = find("pids", "cgroup.procs");
  out.cpuacct_v1 = find("cpuacct", "cpuacct.usage");
  return out;
}

cgroup_slot::cgroup_slot(const cgroup_parents& parents, const std::string& name,
                         const cgroup_limits& limits) {
  auto memory = std::to_string(limits.memory_bytes);
  auto processes = std::to_string(limits.processes);
  if (auto folder = make(parents.unified, name); !folder.empty()) {
    unified_ = true;
    if (write_file(folder + "/memory.max", memory)) {
      memory_ = folder;
      layers_.emplace_back("cgroup-v2:memory");
      write_file(folder + "/memory.swap.max",
                 "0"); // Without swap accounting there is no such file.
    }
    if (write_file(folder + "/pids.max", processes)) {
      pids_ = folder;
      layers_.emplace_back("cgroup-v2:pids");
    }
    if (number_in(folder + "/cpu.stat", "usage_usec"))
      cpu_ = folder;
    return;
  }
  if (auto folder = make(parents.memory_v1, name);
      !folder.empty() && write_file(folder + "/memory.limit_in_bytes", memory)) {
    memory_ = folder;
    layers_.emplace_back("cgroup-v1:memory");
    write_file(memory_ + "/memory.memsw.limit_in_bytes", memory); // Likewise.
  }
  if (auto folder = make(parents.pids_v1, name);
      !folder.empty() && write_file(folder + "/pids.max", processes)) {
    pids_ = folder;
    layers_.emplace_back("cgroup-v1:pids");
  }
  if (cpu_ = make(parents.cpuacct_v1, name); !cpu_.empty())
    layers_.emplace_back("cgroup-v1:cpuacct");
}

std::string cgroup_slot::make(const std::string& parent, const std::string& name) {
  if (parent.empty())
    return {};
  auto folder = parent + "/" + name;
  // Hierarchies may be mounted together (cpu,cpuacct): one group serves for both.
  if (std::find(folders_.begin(), folders_.end(), folder) == folders_.end()) {
    if (::mkdir(folder.c_str(), 0755) != 0)
      return {};
    folders_.push_back(folder);
  }
  return folder;
}

std::vector<std::string> cgroup_slot::procs_files() const {
  std::vector<std::string> out;
  for (const auto& folder : folders_)
    out.push_back(folder + "/cgroup.procs");
  return out;
}

std::vector<pid_t> cgroup_slot::members() const {
  return folders_.empty() ? std::vector<pid_t>{} : cgroup_members(folders_.front());
}

std::optional<std::int64_t> cgroup_slot::cpu_ms() const {
  if (cpu_.empty())
    return std::nullopt;
  auto used = unified_ ? number_in(cpu_ + "/cpu.stat", "usage_usec")
                       : number_in(cpu_ + "/cpuacct.usage", "");
  if (!used)
    return std::nullopt;
  return *used / (unified_ ? 1000 : 1'000'000);
}

bool cgroup_slot::ran_out_of_memory() const {
  if (memory_.empty())
    return false;
  return number_in(memory_ + (unified_ ? "/memory.events" : "/memory.oom_control"), "oom_kill")
             .value_or(0)
         > 0;
}

bool cgroup_slot::ran_out_of_processes() const {
  return !pids_.empty() && number_in(pids_ + "/pids.events", "max").value_or(0) > 0;
}

bool cgroup_slot::remove() {
  std::erase_if(folders_, [](const std::string& folder) {
    return ::rmdir(folder.c_str()) == 0 || errno == ENOENT;
  });
  return folders_.empty();
}

void remove_patiently(std::vector<cgroup_slot>& groups) {
  constexpr int rounds = 200;
  constexpr timespec pause{0, 5'000'000};
  for (int i = 0; i < rounds; ++i) {
    std::erase_if(groups, [](cgroup_slot& group) { return group.remove(); });
    if (groups.empty())
      return;
    ::nanosleep(&pause, nullptr);
  }
}

std::vector<pid_t> cgroup_members(const std::string& folder) {
  std::vector<pid_t> out;
  std::istringstream text{read_file(folder + "/cgroup.procs")};
  for (pid_t pid = 0; text >> pid;)
    out.push_back(pid);
  return out;
}

} // namespace runledger::harness
