#pragma once

#include "actors/harness/fd.hpp"
#include "actors/harness/harness.hpp"
#include "actors/harness/mounts.hpp"
#include "actors/harness/spawn.hpp"
#include "actors/harness/start_refusal.hpp"
#include "events/result.hpp"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// What stands between a harness and the machine: how the command line of bubblewrap is made up,
/// the filter for system calls, the limits. No state, no threads.
namespace runledger::harness {

/// What this machine can do; found out once by running bubblewrap with the flags that every harness
/// gets.
struct sandbox_probe {
  bool namespaces = false;
  std::string namespaces_missing; // Why not.
  std::string filter;             // The seccomp program; empty: not available.
  std::string filter_missing;
};

/// Blocks for some 20 ms, 5 s at most.
sandbox_probe probe_sandbox(const std::string& bubblewrap);

/// The system call filter as a BPF program; the error says why there is none. It denies with EPERM
/// what an agent has no business with: mounts, namespaces, ptrace and other processes' memory, BPF,
/// perf, keys, modules, kexec, clocks, io_uring, userfaultfd, terminal injection, vsock and packet
/// sockets. clone3 is ENOSYS, because its flags cannot be seen.
result<std::string, start_refusal> build_filter();

/// The path that a bare program name is looked up in.
inline constexpr std::string_view default_path = "/usr/local/bin:/usr/bin:/bin";

/// How a process is to be started, before pipes and control groups are added.
struct launch {
  bool namespaced = false; // Through bubblewrap.
  spawn_plan plan;         // Without descriptors.
  unique_fd arguments;     // Namespaced: for --args.
  unique_fd filter;        // Namespaced: for --seccomp, if there is one.
  unique_fd hosts;         // Namespaced, no network: /etc/hosts.
  std::vector<checked_mount> mounts;
  std::vector<std::string> layers;
};

/// The descriptors that bubblewrap is given, from 3 on in this order; `mounts` if there are any.
enum class inherited : int { arguments = 3, status, block, filter, hosts, mounts };

/// Decides on the layers and builds the command. `files_dir` holds the agent's files (empty: none).
result<launch, start_refusal> prepare_launch(const process_spec& spec, const sandbox_probe& probe,
                                             const std::string& bubblewrap,
                                             const std::string& files_dir);

/// The complete environment of the process, as NAME=value.
std::vector<std::string> build_environment(const process_spec& spec);

/// Puts the files of an agent into DATA/agents/<digest of names and texts>, read-only, once.
/// Refused: a name that is empty, absolute, or has a `.` or `..` part.
result<std::string, start_refusal>
cache_files(const std::string& data_dir,
            const std::vector<std::pair<std::string, std::string>>& files);

/// Makes the work folder (0700) and checks that it is one and no link.
result<bool, start_refusal> prepare_work_dir(const std::string& work_dir);

} // namespace runledger::harness
