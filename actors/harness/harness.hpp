#pragma once

#include "actors/harness/protocol.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The port to the programs that drive agents.
///
/// Order: what is written to one process arrives in the order of the calls of one thread; a sink
/// hears of its process in the order in which things happened there. on_started comes first, if
/// anything could be started; on_ready comes before any frame, on_exit last and exactly once for
/// every start, also where nothing could be started; after it the handle is dead. Threads: every
/// function of harness_host may be called from any thread, also from within a sink, and never
/// blocks. Sinks are called on one thread, the host's: they must return at once (an actor's sink
/// does `anon_send`). Lifetime: the host keeps a sink until its on_exit has returned. Calls with a
/// handle that is dead or was never given are ignored. The host's destructor kills every process
/// tree, reports each on_exit, and then returns; it must not run on the host's own thread. Failure:
/// what a process does wrong (a line that is no frame, a flood, no `ready`, a stdin it never reads)
/// ends its whole tree and shows in on_protocol_error and on_exit; the host retries nothing. The
/// host adds no lines of its own: the caller writes `hello`, `run.start` and all that follows.
namespace runledger::harness {

/// A started (or refused) process. `none` is no process.
enum class process_handle : std::uint64_t { none = 0 };

enum class sandbox_mode : std::uint8_t {
  required,    // Every layer, or the start fails with `sandbox_unavailable`.
  best_effort, // The layers that this machine has.
  none,        // Neither namespaces nor seccomp; limits and the clean environment stay.
};

/// A folder of the host inside the sandbox.
struct mount {
  std::string source; // Absolute; must lead to a place below one of the spec's mount_roots.
  std::string target; // Absolute; empty: as source.
  bool writable = false;
};

/// What one process with all its children may use. Which back end holds a limit shows in the
/// layers.
struct resources {
  std::uint64_t memory_mb = 1024;
  std::optional<std::uint64_t> cpu_seconds;
  std::uint32_t processes = 256;
  std::uint64_t disk_mb = 1024; // Of the work folder, and of the private /tmp.
};

/// What stops a flood: token buckets over bytes and lines of stdout. The defaults are those of one
/// run, with the reasons in docs/decisions/0047.
struct output_limits {
  std::uint64_t bytes_per_second = 8ULL << 20;
  std::uint64_t burst_bytes = 32ULL << 20;
  std::uint64_t lines_per_second = 2'500;
  std::uint64_t burst_lines = 4'000;

  /// For the process of a pool as a whole: it guards the thread that reads it.
  static output_limits pooled() { return {128ULL << 20, 256ULL << 20, 400'000, 1'000'000}; }
};

/// Lines for a process. `answers` of them tell the run `run` what became of its steps: who waits
/// for an answer floods nobody, so what it said to get them is not counted against it.
struct outgoing_lines {
  outgoing_lines(std::string text, std::string for_run = {}, std::size_t step_answers = 0)
      : lines(std::move(text)), run(std::move(for_run)), answers(step_answers) {}
  outgoing_lines(const char* text) : outgoing_lines(std::string{text}) {}
  std::string lines;
  std::string run;
  std::size_t answers;
};

/// All that is needed to start a process. Values of `environment` may be secret: they reach the
/// process alone, never an argument list or a file that has a name.
struct process_spec {
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> files; // Name (relative) and text, for /agent.
  std::vector<mount> mounts;            // Resolved and checked at the start, and there alone.
  std::vector<std::string> mount_roots; // Folders below which their sources must be.
  bool network = false;
  sandbox_mode sandbox = sandbox_mode::required;
  harness::resources resources;
  std::vector<std::pair<std::string, std::string>> environment; // The recipe's, resolved.
  /// Absolute; created if missing. The current folder, bound read-write at this same path in every
  /// mode, so that paths below it mean the same inside and outside. A pool gives the folder that
  /// holds its runs' folders.
  std::string work_dir;
  std::string run; // A single-run process: its run, session and attempt. Empty: pooled.
  std::string session;
  std::uint32_t attempt = 0;
  std::int64_t ready_timeout_ms = 10'000;
  output_limits output; ///< Of each run. A breach ends a single run's process.
  output_limits pool_output = output_limits::pooled(); ///< Of a pooled process. Ends it.
  /// Unread stdin beyond write_backlog_bytes that has not moved for write_stall_ms, or 16 times as
  /// much of it, ends the process: a long history may be on its way, a process that never reads is
  /// not worth the memory.
  std::uint64_t write_backlog_bytes = 16ULL << 20;
  std::int64_t write_stall_ms = 5'000;
};

/// How a process ended. `reason` is stable:
/// `exited`, `signalled` (on its own); `stopped` (terminate or kill); `sandbox_unavailable` (a
/// required layer is missing), `sandbox_refused` (a mount leads elsewhere), `start_failed` (no such
/// command or folder, bad file name); `not_ready`, `protocol_error`, `stdin_backlog`; `cpu_limit`,
/// `disk_limit`, `process_limit`, `memory_limit` (that limit ended it).
struct exit_info {
  std::string reason;
  int code = -1;       // Exit status, if it exited.
  int signal = 0;      // If a signal ended it.
  std::string message; // One sentence for people, without secrets.
  std::vector<std::string> layers;
  std::int64_t user_ms = 0;
  std::int64_t system_ms = 0;
  std::int64_t max_rss_kb = 0;
};

/// Hears what one process does. Every call comes on the host's thread and must not block or throw.
class process_sink {
public:
  virtual ~process_sink() = default;

  /// There is a process. `layers` are the protections that it has, such as `namespaces`, `seccomp`,
  /// `no-network`, `cgroup-v1:memory`, `rlimit:cpu`: they go into the event.
  virtual void on_started(const std::vector<std::string>& layers) = 0;
  /// `ready` arrived.
  virtual void on_ready(int max_runs) = 0;
  /// A frame, parsed and complete; never ready or heartbeat. `run` is filled in where the process
  /// has one run. Frames of runs that were closed arrive too: who closed them drops them.
  virtual void on_frame(frame&& f) = 0;
  /// The frames that came with one read, in their order; the same as on_frame for each of them.
  virtual void on_frames(std::vector<frame>&& batch) {
    for (auto& f : batch)
      on_frame(std::move(f));
  }
  /// The process broke the protocol; it is being killed and no frame follows. on_exit does.
  virtual void on_protocol_error(const protocol_error& error) = 0;
  /// One of several runs wrote more than it may. No frame of it follows until it is opened anew;
  /// the process goes on for the others.
  virtual void on_flood(const std::string& run, const protocol_error& error) = 0;
  /// No line for an open run within its time. Told once; a later line arms it again. The host
  /// leaves the process alone.
  virtual void on_heartbeat_lost(const std::string& run) = 0;
  /// Last call: the whole process tree is gone, what it had written was delivered.
  virtual void on_exit(const exit_info& info) = 0;
};

/// The port.
class harness_host {
public:
  virtual ~harness_host() = default;

  /// Starts a process. The handle is valid at once: what is written or opened before the process
  /// exists is kept.
  virtual process_handle start(process_spec spec, std::shared_ptr<process_sink> sink) = 0;
  /// Queues whole lines for stdin.
  virtual void write(process_handle process, outgoing_lines lines) = 0;
  /// From now on `run` counts for heartbeats and, in a pool, the folder work_dir/run for the disk
  /// limit, and stderr is appended to `raw_log` (empty: nowhere;
  /// created 0600 with its last folder by the first byte; capped). heartbeat_ms 0: none expected.
  virtual void open_run(process_handle process, std::string run, std::int64_t heartbeat_ms,
                        std::string raw_log) = 0;
  /// The run is over here. What a process of one run still says on stderr goes to its log to the
  /// end; in a pool nobody knows whose it is.
  virtual void close_run(process_handle process, std::string run) = 0;
  /// SIGTERM to every process of the tree, SIGKILL after grace_ms.
  virtual void terminate(process_handle process, std::int64_t grace_ms) = 0;
  /// SIGKILL to the whole tree.
  virtual void kill(process_handle process) = 0;
};

} // namespace runledger::harness
