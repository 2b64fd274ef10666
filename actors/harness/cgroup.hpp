#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <utility>
#include <vector>

/// Control groups, version 1 or 2, where this server may make some. Every group lies below the
/// server's own, so the limits that hold for the server hold for what it starts. All calls are
/// short file operations.
namespace runledger::harness {

/// What may be limited here; a group of the server's own per controller. Empty: not available.
struct cgroup_parents {
  std::string memory_v1;
  std::string pids_v1;
  std::string cpuacct_v1;
  std::string unified; // Version 2 with the controllers memory and pids.

  bool any() const {
    return !memory_v1.empty() || !pids_v1.empty() || !cpuacct_v1.empty() || !unified.empty();
  }
};

/// Looks for controllers and tries each by making a group. `reasons` gets one sentence per missing
/// limit. `proc_self` is for tests.
cgroup_parents find_cgroups(std::vector<std::string>& reasons,
                            const std::string& proc_self = "/proc/self");

struct cgroup_limits {
  std::uint64_t memory_bytes = 0;
  std::uint32_t processes = 0;
};

/// The groups of one process tree. The destructor does not remove them: `remove` does, once they
/// are empty.
class cgroup_slot {
public:
  cgroup_slot() = default;
  /// Groups that somebody else made, to be removed.
  explicit cgroup_slot(std::vector<std::string> folders) : folders_(std::move(folders)) {}
  /// Makes the groups under `name`. A controller that refuses is left out.
  cgroup_slot(const cgroup_parents& parents, const std::string& name, const cgroup_limits& limits);

  bool limits_memory() const { return !memory_.empty(); }
  bool limits_processes() const { return !pids_.empty(); }
  bool counts_cpu() const { return !cpu_.empty(); }
  bool empty() const { return folders_.empty(); }
  const std::vector<std::string>& folders() const { return folders_; }
  /// Names of the layers, such as `cgroup-v1:memory`.
  const std::vector<std::string>& layers() const { return layers_; }
  /// The files that a process enters by.
  std::vector<std::string> procs_files() const;
  /// Everybody inside, in our pid namespace.
  std::vector<pid_t> members() const;
  std::optional<std::int64_t> cpu_ms() const;
  /// The kernel killed something here because memory ran out.
  bool ran_out_of_memory() const;
  /// A fork was refused because of the limit (version 1 and 2 both count them).
  bool ran_out_of_processes() const;
  /// False while somebody is still inside.
  bool remove();

private:
  std::string make(const std::string& parent, const std::string& name);

  std::vector<std::string> folders_;
  std::vector<std::string> layers_;
  std::string memory_, pids_, cpu_;
  bool unified_ = false;
};

/// Removes what can be removed within a second; blocks that long at most.
void remove_patiently(std::vector<cgroup_slot>& groups);

/// Members of one group; for the sweep.
std::vector<pid_t> cgroup_members(const std::string& folder);

} // namespace runledger::harness
