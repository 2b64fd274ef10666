#pragma once

#include "actors/harness/harness.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace runledger::harness {

/// Where and how processes are run.
struct process_host_options {
  std::string data_dir; // Holds agents/ (cached files) and processes/ (for the sweep).
  std::string bubblewrap = "/usr/bin/bwrap";
  bool use_cgroups = true;                 // false: rlimits and polling only.
  std::uint64_t raw_log_bytes = 64U << 20; // Per log file; then one line says that it was cut.
};

/// harness_host on this machine: bubblewrap, seccomp, cgroups, pipes. One thread, started here and
/// ended by the destructor, spawns every process (--die-with-parent is bound to the thread that
/// spawned) and moves all bytes. It makes the server the reaper of orphans below it.
class process_host final : public harness_host {
public:
  /// Probes the sandbox once (some 20 ms). Throws std::system_error if the data folder cannot be
  /// used.
  explicit process_host(process_host_options options);
  ~process_host() override;

  process_handle start(process_spec spec, std::shared_ptr<process_sink> sink) override;
  void write(process_handle process, outgoing_lines lines) override;
  void open_run(process_handle process, std::string run, std::int64_t heartbeat_ms,
                std::string raw_log) override;
  void close_run(process_handle process, std::string run) override;
  void terminate(process_handle process, std::int64_t grace_ms) override;
  void kill(process_handle process) override;

  /// What this machine offers, for `doctor` and the log; `missing` says why a layer is not there.
  struct capabilities {
    std::vector<std::string> layers;
    std::vector<std::string> missing;
  };
  const capabilities& probed() const;

private:
  struct core;
  std::unique_ptr<core> core_;
};

/// Ends what an earlier server with this data folder left running: a recorded process is killed
/// only where pid, start time and boot match. Call before the first process_host. Returns how many
/// were killed.
std::size_t sweep_processes(const std::string& data_dir);

} // namespace runledger::harness
