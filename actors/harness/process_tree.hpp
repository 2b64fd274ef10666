#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

/// What /proc tells of processes, and the records by which a later server finds what this one left.
namespace runledger::harness {

struct process_stat {
  pid_t pid = 0;
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  std::uint64_t start_ticks = 0; // Since boot: with the pid it names a process for good.
  std::int64_t cpu_ms = 0;       // Its own and that of the children it has waited for.
  bool zombie = false;
};

std::optional<process_stat> read_stat(pid_t pid);
std::vector<process_stat> all_processes();
/// Everything below `root`, root left out.
std::vector<process_stat> descendants(const std::vector<process_stat>& all, pid_t root);
/// Has `NAME=value` in its first environment; false where that cannot be read.
bool has_environment(pid_t pid, const std::string& entry);

/// One file per running process in DATA/processes.
class process_records {
public:
  /// Makes the folder; throws std::system_error where that fails.
  explicit process_records(const std::string& data_dir);

  /// Remembers `pids` (that are alive) and control groups under the name of the first pid.
  void add(const std::vector<pid_t>& pids, const std::vector<std::string>& cgroups) const;
  void remove(pid_t first) const;

private:
  std::string folder_;
  std::string boot_;
};

} // namespace runledger::harness
