#pragma once

#include "actors/harness/fd.hpp"
#include "events/result.hpp"

#include <cstddef>
#include <string>
#include <sys/resource.h>
#include <sys/types.h>
#include <utility>
#include <vector>

namespace runledger::harness {

/// What a new process is to be. The descriptors stay the caller's.
struct spawn_plan {
  std::string program;                  // A path; nothing is searched.
  std::vector<std::string> arguments;   // argv, the program's name first.
  std::vector<std::string> environment; // NAME=value; nothing else is passed on.
  std::string directory;                // Current folder; empty: the server's.
  /// Descriptors from 0 on; all others are closed.
  std::vector<int> descriptors;
  std::vector<std::string> cgroup_procs; // Files `cgroup.procs` to enter first.
  std::vector<std::pair<int, rlimit>> limits;
  std::string filter; // A seccomp program (BPF) to load; empty: none.
};

struct spawned {
  pid_t pid;
  unique_fd pidfd;
};

/// Starts a process as leader of its own session, with default signals, that gets SIGKILL when the
/// calling thread ends. The child shares our memory until it executes (vfork), so the cost does not
/// grow with our size; the calling thread waits for that moment. The error says what failed.
result<spawned, std::string> spawn(const spawn_plan& plan);

} // namespace runledger::harness
