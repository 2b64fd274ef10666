#pragma once

#include "actors/harness/cgroup.hpp"
#include "actors/harness/disk_usage.hpp"
#include "actors/harness/event_loop.hpp"
#include "actors/harness/harness.hpp"
#include "actors/harness/line_reader.hpp"
#include "actors/harness/process_host.hpp"
#include "actors/harness/process_tree.hpp"
#include "actors/harness/raw_log.hpp"
#include "actors/harness/sandbox.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <sys/resource.h>
#include <unordered_map>
#include <vector>

namespace runledger::harness {

/// What the processes of one host share.
struct host_context {
  process_host_options options;
  event_loop& loop;
  sandbox_probe probe;
  cgroup_parents cgroups;
  process_records records;
  std::set<pid_t> main_pids = {};                // Our own children, reaped one by one.
  std::vector<cgroup_slot> leftover_groups = {}; // To be removed once the kernel lets go of them.
};

/// One process tree from start to exit. Lives on the host's thread alone; the host feeds it
/// descriptors and times.
class running_process {
public:
  running_process(std::uint64_t id, process_spec spec, std::shared_ptr<process_sink> sink,
                  host_context& host);
  ~running_process();
  running_process(const running_process&) = delete;
  running_process& operator=(const running_process&) = delete;

  /// Spawns, or reports on_exit.
  void start();
  void write(const outgoing_lines& what);
  /// Hands what was written to the kernel.
  void flush();
  void open_run(const std::string& run, std::int64_t heartbeat_ms, const std::string& log);
  void close_run(const std::string& run);
  void terminate(std::int64_t grace_ms);
  void kill();
  /// Reports on_exit although the kernel has not ended it: the host goes away.
  void abandon();

  void on_descriptor(slot what);
  void on_timer(timer kind);
  /// on_exit was called.
  bool done() const { return done_; }

private:
  struct open_run_state {
    std::int64_t heartbeat_ms = 0;
    std::int64_t last_ms = 0;
    bool lost = false;
    raw_log log;
    token_bucket byte_rate, line_rate; // In a pool; a single run has the process's.
  };

  // Start.
  result<launch, start_refusal> prepare();
  void limit(launch& l);
  bool spawn_with_pipes(launch& l);
  void read_status();
  void on_status_line(std::string_view line);
  void adopt_inner(pid_t pid);
  void on_mounted();

  // Bytes.
  /// Of a process with one run: the run's.
  const output_limits& own_output() const {
    return spec_.run.empty() ? spec_.pool_output : spec_.output;
  }
  void read_output();
  void read_lines();
  void deliver_frames();
  void read_errors();
  bool on_line(std::string_view line);
  bool on_first_line(frame& f);
  bool fill_in_run(frame& f, std::string_view line);
  bool within_limits(const frame& f, std::string_view line);
  void touch(const frame& f);
  void protocol_failure(protocol_error error);
  void check_stall();

  // Limits.
  void check_heartbeats();
  void watch();
  void watch_disk();
  void watch_tree();

  // End.
  void stop(const char* reason, std::string message);
  void kill_tree();
  void signal_members(int signal);
  std::vector<pid_t> members() const;
  void on_main_exit();
  void try_finish();
  bool leftovers_gone();
  void drain_output();
  void reap();
  void reap_orphans();
  void finish();
  exit_info describe_exit();
  void describe_failed_setup(exit_info& info) const;
  void refuse(const start_refusal& refusal);
  void arm(timer kind, std::int64_t when);
  void drop(unique_fd& fd);

  const std::uint64_t id_;
  process_spec spec_;
  std::shared_ptr<process_sink> sink_;
  host_context& host_;

  bool namespaced_ = false;
  bool limit_processes_inside_ = false;
  bool poll_processes_ = false;
  std::vector<std::string> layers_;
  cgroup_slot group_;

  pid_t pid_ = 0;
  pid_t inner_pid_ =
      0; // Namespaced: the first process of the pid namespace, whose end is the end of all.
  unique_fd pidfd_, inner_pidfd_;
  unique_fd input_, output_, errors_, status_, block_;
  std::vector<checked_mount> mounts_; // Until they have been compared.
  unique_fd mounted_;                 // What bubblewrap reads once it has mounted them.
  std::string status_text_;
  bool set_up_ = false; // Namespaced: the command was executed.
  bool exited_ = false; // A direct child stays unreaped until its tree is gone: its pid names it.
  bool inner_gone_ = false;
  bool tree_gone_ = false;
  bool kill_wanted_ = false;
  std::int64_t kill_since_ms_ = 0;
  std::set<pid_t> signalled_; // Perhaps to be reaped.
  int wait_status_ = 0;
  rusage usage_{};

  std::string stop_reason_;
  std::string stop_message_;
  bool muted_ = false; // No frame is delivered any more.
  bool ready_ = false;
  bool done_ = false;
  int max_runs_ = 1;

  std::string last_run_; // For lines that leave `run` out.
  line_reader lines_;
  std::vector<frame> frames_;     // Of the read under way.
  std::set<std::string> flooded_; // Runs of a pool that said too much.
  token_bucket byte_rate_, line_rate_;
  std::string errors_head_;
  bool errors_logged_ = false; // Some log has them.

  std::string outgoing_;
  std::size_t sent_ = 0;
  bool input_watched_ = false;
  std::int64_t input_moved_ms_ = 0;

  std::unordered_map<std::string, open_run_state> runs_;
  raw_log last_words_;           // Of the single run, once that is closed.
  std::int64_t last_any_ms_ = 0; // A line that counts for every run.
  std::unique_ptr<disk_usage> disk_;
  std::int64_t next_disk_ms_ = 0;
  std::array<std::int64_t, timer_kinds> armed_{};
};

} // namespace runledger::harness
