#pragma once

#include "actors/answer.hpp"
#include "actors/harness/harness.hpp"
#include "actors/harness/worker_protocol.hpp"
#include "actors/peers.hpp"
#include "actors/queue_lines.hpp"
#include "events/agent.hpp"
#include "events/audit.hpp"
#include "events/catalog_entry.hpp"
#include "events/ed25519.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/partition.hpp"
#include "events/run.hpp"
#include "events/session.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

/// The actors as the rest of the program sees them: requests in, answers out, no CAF.
namespace runledger {

/// Who asks, and what makes the request the same when it comes again.
struct request_context {
  workspace_id workspace;
  std::string principal;      ///< `key_...`
  std::string correlation_id; ///< The request's id.
  std::string traceparent;
  std::string idempotency_key; ///< Empty: none.
  digest fingerprint;          ///< Of the parsed body (docs/events.md); set with a key.
  /// Without a key: of the ids that follow from the request. Who may have to send it to another
  /// process chooses it (id_source::ulid), so that it stays one request. Empty: chosen here.
  std::string ulid;
};

/// A run that was accepted.
struct accepted_run {
  std::shared_ptr<const session::turn_accepted> fact;
  session_id session;
  timestamp accepted_at{};
  record_ptr accepting; ///< The event that accepts; a message's answer shows the session as of it.
  bool replayed = false;
};

/// A run that has ended: its state at the end.
struct ended_run {
  run_id run;
  std::shared_ptr<const run::state> state;
};
/// Called once when the run ended, or never (the asker has a time limit of its own). Any thread.
using end_listener = std::function<void(ended_run)>;

struct start_run_request {
  request_context context;
  std::string agent; ///< Id or slug.
  std::optional<std::int64_t> version;
  payload prompt, initial_state; ///< One of them.
  std::string trigger = "manual";
  end_listener on_end; ///< Empty: nobody waits.
};
/// A new run, in a session of its own, that begins with what `parent` had recorded before its step
/// `at`: same agent version, same input.
struct fork_run_request {
  request_context context;
  run_id parent;
  std::string at; ///< The step's key.
  end_listener on_end;
};
struct post_message_request {
  request_context context;
  session_id session;
  payload message; ///< A JSON string.
  end_listener on_end;
};
struct cancel_session_request {
  request_context context;
  session_id session;
  std::string reason = "cancelled on request";
};
struct session_answer {
  session_id session;
  session::state state;
  record_ptr accepting; ///< The event that this very command led to; null if it changed nothing.
  bool replayed = false;
};

struct create_agent_request {
  request_context context;
  std::string title, slug, description; ///< slug is chosen by the caller or derived from the name.
  payload recipe;                       ///< Checked by parse_recipe already; empty: none.
};
struct change_version_request {
  request_context context;
  std::string agent; ///< Id or slug.
  std::variant<agent::create_version, agent::change_draft, agent::activate, agent::archive> change;
};
struct agent_answer {
  agent_id id;
  std::shared_ptr<const agent::state> state;
  std::int64_t version = 0; ///< The version that the request was about; 0: none.
  bool replayed = false;
};

/// The way to a remote worker. Called on an actor's thread; must not block. Lives as long as the
/// queue's actor needs it.
class worker_link {
public:
  /// A worker for which more than this waits does not read, and is cut off.
  static constexpr std::size_t undelivered_max = std::size_t{64} << 20;

  virtual ~worker_link() = default;
  /// Whole lines for the worker (actors/harness/worker_protocol.hpp).
  virtual void deliver(std::string lines) = 0;
  /// Bytes of them that are still here.
  virtual std::size_t undelivered() const = 0;
  /// Nothing more comes; the connection is to be closed.
  virtual void close(std::string reason) = 0;
};

/// What a remote worker says once it is attached.
using frame_pointer = std::shared_ptr<harness::frame>;
struct worker_says {
  struct sign_of_life {};
  struct offers {
    std::int64_t slots = 0;
  };
  struct frames { ///< Of one lease, in their order.
    run_id run;
    std::int64_t lease_epoch = 0;
    std::vector<frame_pointer> all;
  };
  struct ended { ///< The attempt's harness is gone, or it is given back.
    run_id run;
    std::int64_t lease_epoch = 0;
    failure error;
    bool counted = true;
  };
  struct leaves {};          ///< By its own will: what it holds is given back.
  struct connection_lost {}; ///< It may come back within its lease.
  std::variant<sign_of_life, offers, frames, ended, leaves, connection_lost> word;
};

/// A remote worker wants to serve a queue, for the first time or again.
struct attach_worker_request {
  request_context context; ///< Whose workspace decides.
  std::string queue, title;
  std::string token; ///< Who comes back with it is the same worker.
  std::int64_t slots = 1;
  std::vector<harness::held_lease> leases; ///< What it holds.
  std::shared_ptr<worker_link> link;
};
struct attached_worker {
  worker_id id;
  std::int64_t lease_ms = 0;            ///< Silent for so long, and its leases are over.
  std::function<void(worker_says)> say; ///< Any thread; without effect when the link was closed.
};

struct create_key_request {
  request_context context;
  workspace_id workspace; ///< Of the new key.
  std::string title;
  std::vector<std::string> scopes;
  digest secret_hash;
  std::optional<timestamp> expires_at;
};
struct key_answer {
  key_id id;
  key::state state;
  bool replayed = false;
};
struct revoke_key_request {
  request_context context;
  key_id id;
};
struct create_workspace_request {
  request_context context;
  workspace_id id; ///< Empty: a fresh or derived `ws_...`.
  std::string title;
};
struct workspace_answer {
  workspace_id id;
  workspace::state state;
  bool replayed = false;
};

/// A refused call, or how many of them are not recorded, for the audit stream of a workspace.
struct record_refusal_request {
  request_context context; ///< Workspace, principal and request.
  audit::event report;
};
struct refusal_recorded {};

/// When and with which key tree heads are signed (docs/events.md).
struct tree_head_settings {
  std::optional<ed25519::private_key> key; ///< The node's; without it there are no heads.
  std::string folder;                      ///< Of the day files; empty: none.
  std::uint64_t events = 1000;             ///< A head after so many new events...
  std::int64_t interval_ms = 60'000;       ///< ...or so long after the first of fewer.
};

/// What the engine needs of the configuration.
struct engine_settings {
  std::string data_dir; ///< Absolute.
  std::string node = "node-1";
  std::size_t max_running = 64;     ///< Process slots.
  std::size_t max_queued = 100'000; ///< Waiting runs per workspace.
  std::int64_t drain_ms = 30'000;   ///< At shutdown.
  std::int64_t lease_ms = 30'000;   ///< A remote worker may be silent for so long.
  bool sandbox_allow_none = false;
  std::vector<std::string> sandbox_mount_roots;
  recipe recipe_defaults; ///< Sandbox and resources of recipes that name none.
  /// The value of a secret for a workspace; nothing: missing or not allowed there.
  std::function<std::optional<std::string>(const std::string& name, const workspace_id&)> secret;
  std::size_t scheduler_threads = 1;
  std::int64_t idle_actor_ms = 10'000; ///< After this an idle entity is passivated.
  std::size_t max_view_lag = 500'000;  ///< Events; beyond it writers slow down.
  tree_head_settings heads;
  /// Flat numbers of the partitions that are taken at the start; nothing: all.
  std::optional<std::vector<std::uint32_t>> partitions;
  int streams_in_a_row = 64; ///< New ones go to one partition, then as many to the next.
  /// Files are copied in a thread of their own; false: with the other actors, for the simulation.
  bool importer_thread = true;
};

/// What the engine stands on; all outlive it.
struct engine_parts {
  event_log& log;
  blob_store& blobs;
  harness::harness_host& harness;
  const wall_clock& clock;
  /// Events of the ledger that the views have not read yet; may be empty.
  std::function<std::uint64_t()> view_lag;
  std::function<void(std::string)> on_fatal; ///< The ledger is dead; the process must end.
  /// Another process has claimed a partition that was held here; its actors have ended. May be
  /// empty.
  std::function<void(std::uint32_t)> on_lost;
  /// The other processes that hold partitions of this ledger; null: there are none.
  peers* others = nullptr;
  /// The way to queues that other processes hold; null: there are none.
  queue_lines* lines = nullptr;
};

/// A partition that could not be taken.
struct take_failure {
  std::uint32_t partition = 0;
  claim_error why;
};

/// Counters for /metrics; read from any thread.
struct engine_stats {
  std::uint64_t appended_events = 0, append_groups = 0, rejected_appends = 0;
  std::uint64_t live_actors = 0, queued_runs = 0, running_runs = 0, live_processes = 0;
  std::uint64_t waiting_runs = 0; ///< What max_queued bounds: queued_runs, and what is on its way.
  std::uint64_t recovered_streams = 0;
};

/// The actor system over the partitions of the ledger that this process holds. Every function may
/// be called from any thread and returns at once; answers come on an actor's thread.
class engine {
public:
  /// Takes the partitions (settings.partitions), starts the actors and begins recovery. Throws
  /// std::runtime_error with a sentence for the operator if the ledger cannot be taken.
  engine(engine_settings settings, engine_parts parts);
  ~engine(); ///< Stops at once; call drain() before for a clean end.
  engine(const engine&) = delete;
  engine& operator=(const engine&) = delete;

  void start_run(start_run_request request, answer<accepted_run> to);
  void fork_run(fork_run_request request, answer<accepted_run> to);
  void post_message(post_message_request request, answer<accepted_run> to);
  void cancel_session(cancel_session_request request, answer<session_answer> to);
  void create_agent(create_agent_request request, answer<agent_answer> to);
  void change_version(change_version_request request, answer<agent_answer> to);
  void create_key(create_key_request request, answer<key_answer> to);
  void revoke_key(revoke_key_request request, answer<key_answer> to);
  void create_workspace(create_workspace_request request, answer<workspace_answer> to);
  void record_refusal(record_refusal_request request, answer<refusal_recorded> to);
  void attach_worker(attach_worker_request request, answer<attached_worker> to);
  /// A command of another process, for an entity whose partition is held here.
  void carry_out(peer_command command, answer<peer_done> to);
  /// Another process has opened a line to a queue. Where that is not held here, the line is closed.
  line_listener accept_line(const stream_id& queue, std::shared_ptr<queue_line> to);

  /// Claims partitions (flat numbers) and recovers what is unfinished in them. `done` hears, on an
  /// actor's thread, once every unfinished stream has been handed to its actor, which of them could
  /// not be taken. What is held already stays as it is; what is being released cannot be taken.
  void take(std::vector<std::uint32_t> partitions,
            std::function<void(std::vector<take_failure>)> done);
  /// Gives partitions up: from now on requests for them are refused with `not_owner`, their actors
  /// end, harnesses of their runs are cut off (at no cost to the runs), and `done` is called, on an
  /// actor's thread, when nothing of them is on its way to the ledger any more. The next claim may
  /// come from anywhere.
  void release(std::vector<std::uint32_t> partitions, std::function<void()> done);
  /// Looks whether another process has claimed what is held here (on_lost); who appends notices by
  /// itself.
  void look_for_claims();
  bool holds(std::uint32_t partition) const;
  std::vector<std::uint32_t> held() const;

  /// The partition that a request needs, from its ids alone; nothing: whichever process gets it can
  /// choose an id for it, or will refuse it. A slug is looked up in the ledger, which reads. A
  /// request that is refused here with `not_owner` names the partition as well.
  std::optional<std::uint32_t> partition_of(const start_run_request& request) const;
  std::optional<std::uint32_t> partition_of(const fork_run_request& request) const;
  std::optional<std::uint32_t> partition_of(const post_message_request& request) const;
  std::optional<std::uint32_t> partition_of(const cancel_session_request& request) const;
  std::optional<std::uint32_t> partition_of(const create_agent_request& request) const;
  std::optional<std::uint32_t> partition_of(const change_version_request& request) const;
  std::optional<std::uint32_t> partition_of(const create_key_request& request) const;
  std::optional<std::uint32_t> partition_of(const revoke_key_request& request) const;
  std::optional<std::uint32_t> partition_of(const create_workspace_request& request) const;
  std::optional<std::uint32_t> partition_of(const record_refusal_request& request) const;

  engine_stats stats() const;
  /// True once every stream with unfinished work has been handed to its actor.
  bool recovered() const;

  /// No new work; harnesses get `shutdown`; returns when all ended or were killed after drain_ms.
  /// Blocks.
  void drain();

private:
  struct implementation;
  std::unique_ptr<implementation> self_;
};

} // namespace runledger
