#pragma once

#include "actors/engine.hpp"
#include "actors/harness/harness.hpp"
#include "actors/harness/protocol.hpp"
#include "actors/held_place.hpp"
#include "actors/peers.hpp"
#include "events/recipe.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/atom.hpp>
#include <caf/replies_to.hpp>
#include <caf/send.hpp>
#include <caf/typed_actor.hpp>

#include <deque>
#include <future>
#include <limits>
#include <memory>
#include <variant>

/// Every handle and every in-process message, in one place. The ledger carries bytes; CAF carries
/// values and never leaves this process. All messages are plain sends: who owes an answer holds an
/// `answer<T>` (actors/answer.hpp).
namespace runledger {

using tick_atom = caf::atom_constant<caf::atom("tick")>;
using flush_atom = caf::atom_constant<caf::atom("flush")>;
using leave_atom = caf::atom_constant<caf::atom("leave")>;
using yield_atom = caf::atom_constant<caf::atom("yield")>;
using drain_atom = caf::atom_constant<caf::atom("drain")>;
using head_atom = caf::atom_constant<caf::atom("head")>;
using count_atom = caf::atom_constant<caf::atom("count")>;
constexpr tick_atom tick_atom_v{};
constexpr flush_atom flush_atom_v{};
constexpr leave_atom leave_atom_v{};
constexpr yield_atom yield_atom_v{};
constexpr drain_atom drain_atom_v{};
constexpr head_atom head_atom_v{};
constexpr count_atom count_atom_v{};

/// How an append ended, for the actor that asked: exactly one per append_batch.
struct append_done {
  std::uint64_t ticket = 0;
  append_result result;
};
using append_sink = caf::typed_actor<caf::reacts_to<append_done>>;

/// The events of one decision round of one entity.
struct append_batch {
  std::uint64_t ticket = 0;
  append_request request;
  append_sink reply_to;
  std::uint32_t partition = 0; ///< Of its stream: refused `wrong_epoch` unless it is held here.
  bool claims = false;         ///< It is what takes the partition.
};
/// Whoever holds a copy is not done yet; when the last one goes, what was to follow is done.
using pending_work = std::shared_ptr<const void>;
/// The partition was taken: it gets tree heads from here on.
struct partition_taken {
  std::uint32_t partition = 0;
};
/// The partition was given up and has no actors any more. `until_done` is let go when nothing of it
/// is at the log.
struct partition_vacated {
  std::uint32_t partition = 0;
  pending_work until_done;
};
/// A group came back from a log that answers later.
struct group_done {
  std::uint64_t group = 0;
  std::vector<append_result> results;
};
/// The LEDGER GATEWAY. Collects what is runnable into one group, one group at a time. It sends
/// itself `count` to go on reading for the tree heads, and `head` when one may be due.
using ledger_gateway =
    caf::typed_actor<caf::reacts_to<append_batch>, caf::reacts_to<flush_atom>,
                     caf::reacts_to<group_done>, caf::reacts_to<partition_taken>,
                     caf::reacts_to<partition_vacated>, caf::reacts_to<tick_atom, std::uint64_t>,
                     caf::reacts_to<count_atom>, caf::reacts_to<head_atom>>;

struct recovery_under_way;
/// While any copy lives, recovered runs may still be on their way to the dispatcher.
using recovery_hold = std::shared_ptr<const recovery_under_way>;

/// What a session is asked. One of the answers is set, or none.
struct session_mail {
  event_origin origin;
  workspace_id workspace;
  std::variant<std::monostate, session::accept_turn, session::end_turn, session::cancel>
      body; ///< None: wake up.
  answer<accepted_run> accepted;
  answer<session_answer> changed;
  end_listener on_end;                      ///< With accept_turn.
  std::shared_ptr<const run::state> at_end; ///< With end_turn.
  /// accept_turn of a keyed request on a session that does not exist: pass it on to the agent, to
  /// be pinned.
  std::shared_ptr<start_run_request> unpinned;
  /// accept_turn of a fork: the step's key, to be looked up in the parent before it is decided on.
  std::optional<std::string> fork_at;
  held_place place; ///< With accept_turn: the run's in the queue, without which none is accepted.
  bool queue_full = false;     ///< No place is left: only what is known already may be answered.
  recovery_hold hold;          ///< With the first wake-up after a start.
  session::outcome decided;    ///< Set by the actor between decision and commit.
  bool cancels = false;        ///< Likewise: it is what cancels the session.
  std::optional<errc> refused; ///< Likewise: decided otherwise.
};
using session_actor = caf::typed_actor<caf::reacts_to<session_mail>, caf::reacts_to<append_done>,
                                       caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

/// A run that waits for a worker, or has one.
struct dispatch_entry {
  run_id run;
  session_id session;
  workspace_id workspace;
  std::int64_t turn = 0;
  std::uint64_t accepted_seq = 0; ///< Of its turn_accepted.
  std::int64_t accepted_offset =
      std::numeric_limits<std::int64_t>::max(); ///< Likewise, where it is known: the place in line
                                                ///< after a restart.
  std::int64_t accepted_ms =
      std::numeric_limits<std::int64_t>::max(); ///< Likewise, before that
                                                ///< offset; 0 with one partition.
  agent_id agent;
  std::int64_t agent_version = 0;
  std::shared_ptr<const session::turn_accepted>
      fact;             ///< May be null: then the run reads it from the ledger.
  record_ptr accepting; ///< May be null, likewise.
  bool alone = false;   ///< In a process of its own.
  bool counted = false; ///< It has its place in the queue; otherwise the directory is told.
  bool again = false;   ///< Asked by the run itself after an attempt: counts also while a slot is
                        ///< assigned, once that is released.
  std::int64_t attempt = 0; ///< The one that is to begin; 0: who asks does not know.
};

struct worker_mail;
using worker_actor = caf::typed_actor<caf::reacts_to<worker_mail>, caf::reacts_to<append_done>,
                                      caf::reacts_to<tick_atom, std::uint64_t>>;

/// A worker is free for this run.
struct run_granted {
  dispatch_entry entry;
  std::uint64_t grant = 0; ///< Names this assignment until the slot is released.
  worker_id worker;
  worker_actor by;
  std::shared_ptr<const recipe> how; ///< Null: the recipe cannot be read; `problem` says why.
  failure problem;
  std::string agent_slug;
  std::string queue; ///< Of remote work: then `by` is its queue, and `grant` the lease's epoch.
};
/// A frame has many members: it is moved by its pointer from the process to the decision.
using frame_ptr = std::shared_ptr<harness::frame>;
/// Frames of attempt `attempt`'s harness that came together; they are decided in one round.
struct run_frames {
  std::int64_t attempt = 0;
  std::vector<frame_ptr> frames;
};
/// One of them.
struct run_frame {
  std::int64_t attempt = 0;
  frame_ptr frame;
};
/// The attempt's process is gone, or broke the protocol.
struct attempt_gone {
  std::int64_t attempt = 0;
  failure error;
  bool counted = true;
  bool final = false;
  bool alone = false; ///< Its process served others too: the next attempt gets one of its own.
};
/// A file of the work folder was taken over, or refused.
struct artifact_taken {
  std::int64_t attempt = 0;
  frame_ptr frame;
  std::optional<blob_ref> blob;
  std::string problem;
};
struct cancel_run {
  std::string reason;
  std::int64_t turn = 0;
};
struct timer_due {};
/// The run's lease is still its own, after a restart of the server: it goes on.
struct lease_resumed {
  std::uint64_t grant = 0;
  std::int64_t attempt = 0;
  worker_actor by;
};
/// The run's remote worker is here again: lines to it may have been lost.
struct worker_returned {
  std::uint64_t grant = 0;
};
/// The run's queue goes to another process: it is to be asked for the lease there.
struct queue_moved {
  std::uint64_t grant = 0;
};
struct run_mail {
  event_origin origin;
  workspace_id workspace;
  session_id session;
  std::variant<std::monostate, std::shared_ptr<run_granted>, run_frames, run_frame, attempt_gone,
               artifact_taken, cancel_run, timer_due, lease_resumed, worker_returned, queue_moved>
      body;             ///< None: wake up.
  recovery_hold hold;   ///< With the first wake-up after a start.
  run::outcome decided; ///< Set by the actor between decision and commit.
  run_id run = {};      ///< Set by a queue: the end of a line stands for many runs.
};
using run_actor = caf::typed_actor<caf::reacts_to<run_mail>, caf::reacts_to<append_done>,
                                   caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

/// Begin an attempt: open the run in this slot's process, which is started if there is none.
struct begin_run {
  run_id run;
  std::uint64_t grant = 0;
  session_id session;
  workspace_id workspace;
  std::int64_t attempt = 0;
  run_actor by;
  std::shared_ptr<const recipe> how;
  agent_id agent;
  std::int64_t agent_version = 0;
  std::vector<std::pair<std::string, std::string>> environment; ///< Resolved; may hold secrets.
  std::string lines;                                            ///< run.start and what follows it.
  std::string work_dir;                                         ///< The run's.
  std::string pool_dir; ///< The pool's; empty: a process of its own.
  std::string raw_log;
};
struct write_lines {
  run_id run;
  std::string lines;
  std::size_t step_answers = 0; ///< Among them.
};
/// The run's work in this slot is over. `clean`: the harness said so itself.
struct finish_run {
  run_id run;
  std::uint64_t grant = 0;
  bool clean = true;
  /// Not over: the run's partition goes to another process, which goes on under the same lease.
  bool moves = false;
  run_actor by = {}; ///< Who says so; with `moves`, and where a line from another process does.
};
struct process_started {
  std::uint64_t process = 0;
  std::vector<std::string> layers;
};
struct process_ready {
  std::uint64_t process = 0;
  int max_runs = 1;
};
struct process_frames {
  std::uint64_t process = 0;
  std::vector<frame_ptr> frames;
};
struct process_broke_protocol {
  std::uint64_t process = 0;
  std::string text;
};
struct process_silent {
  std::uint64_t process = 0;
  std::string run;
};
struct process_flooded { ///< One of several runs wrote more than it may.
  std::uint64_t process = 0;
  std::string run, text;
};
struct process_gone {
  std::uint64_t process = 0;
  harness::exit_info info;
};
/// End the process: another agent needs the slot, or the server ends (then `drain_ms` is what it
/// has).
struct retire {
  std::int64_t drain_ms = 0;
  bool server_ends = false;
  bool if_unused = false; ///< Only tell whether the slot is empty; a process that runs stays.
};
struct worker_mail {
  std::variant<begin_run, write_lines, finish_run, process_started, process_ready, process_frames,
               process_broke_protocol, process_silent, process_flooded, process_gone, retire>
      body;
};

/// A run waits for a remote worker; its recipe can be read.
struct queued_run {
  dispatch_entry entry;
  std::shared_ptr<const recipe> how;
  std::string agent_slug;
  run_actor line = {};     ///< Another process holds the run: the end of the line to it.
  std::uint64_t epoch = 0; ///< Of the claim under which the run's process says so.
};
using queued_run_ptr = std::shared_ptr<queued_run>;
/// A run whose attempt was under way when the server ended asks for its lease.
struct resume_lease {
  run_id run;
  std::int64_t attempt = 0;
  run_actor by;
  session_id session;
  std::uint64_t epoch = 0; ///< As queued_run::epoch.
};
struct attach_worker {
  attach_worker_request request;
  answer<attached_worker> to;
};
/// `by` tells a connection from a later one of the same worker.
struct worker_said {
  worker_id worker;
  std::shared_ptr<const worker_link> by;
  worker_says what;
};
struct forget_run { ///< It ended before its turn came.
  run_id run;
};
struct line_is_over {};
struct queue_message {
  std::variant<std::monostate, queued_run_ptr, forget_run, resume_lease,
               std::shared_ptr<attach_worker>, worker_said, begin_run, write_lines, finish_run,
               line_is_over>
      body;            ///< None: wake up.
  run_actor line = {}; ///< It came over a line from another process: its end here.
};
/// The QUEUE of remote work. To a run it is the worker that runs it: begin_run, write_lines and
/// finish_run go to the remote one through it.
using queue_actor = worker_actor::extend<caf::reacts_to<queue_message>, caf::reacts_to<leave_atom>,
                                         caf::reacts_to<yield_atom>>;

/// What the actor at an end of a line to another process gets from it.
struct line_event {
  struct over {};
  struct frame_done { ///< Nobody needs that frame any more.
    std::uint64_t number = 0;
  };
  std::uint64_t line = 0; ///< Which of its lines.
  std::variant<std::string, frame_done, over> what;
};
/// The queue's end of a line (actors/remote_queue.hpp).
using line_end_actor = run_actor::extend<caf::reacts_to<line_event>>;
/// The run's end: to the runs of this process it is a queue that another one holds.
using remote_queue_actor =
    worker_actor::extend<caf::reacts_to<queue_message>, caf::reacts_to<line_event>>;
/// A line to a queue that is held here was opened, or is over.
struct line_end_here {
  line_end_actor end;
  bool open = false;
};

/// What a slot tells the dispatcher.
struct slot_released {
  std::size_t slot = 0;
  run_id run;
  std::uint64_t grant = 0; ///< Another one than the run's present: a late message, without effect.
};
struct slot_ready {
  std::size_t slot = 0;
  std::int64_t max_runs = 1;
};
struct slot_tainted { ///< Its process takes no new runs.
  std::size_t slot = 0;
};
struct slot_empty { ///< No process.
  std::size_t slot = 0;
};
/// A recovery begins: who asks waits until all have asked, so that they can stand in line in the
/// order of their acceptance.
struct recovery_begins {};
struct recovery_over {}; ///< Every run that waited before that has asked again.
/// Partitions were given up: their runs do not wait here any more.
struct drop_what_is_not_held {};
/// Give nothing out any more and end the processes; `over` is set when the last slot is empty.
struct drain_slots {
  std::shared_ptr<std::promise<void>> over;
};
/// A run was handed to its queue, whose partition is not held here: it waits until it is.
struct queue_elsewhere {
  queued_run_ptr run;
};
/// The DISPATCHER. First in first out per workspace, workspaces in turn; knows the slots.
using dispatcher_actor =
    caf::typed_actor<caf::reacts_to<dispatch_entry>, caf::reacts_to<slot_released>,
                     caf::reacts_to<slot_ready>, caf::reacts_to<slot_tainted>,
                     caf::reacts_to<slot_empty>, caf::reacts_to<forget_run>,
                     caf::reacts_to<recovery_begins>, caf::reacts_to<recovery_over>,
                     caf::reacts_to<drop_what_is_not_held>, caf::reacts_to<drain_slots>,
                     caf::reacts_to<queue_elsewhere>, caf::reacts_to<tick_atom>>;

/// Tells the dispatcher when the last of those is gone that it was given to.
struct recovery_under_way {
  explicit recovery_under_way(dispatcher_actor d) : dispatcher(std::move(d)) {}
  ~recovery_under_way() { caf::anon_send(dispatcher, recovery_over{}); }
  recovery_under_way(const recovery_under_way&) = delete;
  recovery_under_way& operator=(const recovery_under_way&) = delete;
  dispatcher_actor dispatcher;
};

/// Agents, names, keys, workspaces and audit streams: small entities without effects. `replayed`,
/// `refused` and `version` are set by the actor between decision and commit.

struct agent_mail;
struct names_mail;
/// The creation that followed a claim has ended: its owner exists, or never will.
struct creation_over {
  stream_id owner;
  std::string command; ///< That asked for it.
};
using names_actor = caf::typed_actor<caf::reacts_to<names_mail>, caf::reacts_to<append_done>,
                                     caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>,
                                     caf::reacts_to<creation_over>>;
using agent_actor = caf::typed_actor<caf::reacts_to<agent_mail>, caf::reacts_to<append_done>,
                                     caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

struct agent_mail {
  event_origin origin;
  workspace_id workspace;
  agent::command_body body;
  answer<agent_answer> to;
  names_actor coordinator;                ///< With create: hears that it is over.
  std::shared_ptr<start_run_request> pin; ///< Set: pin a version for this run instead of a command.
  session::accept_turn turn;     ///< With pin: what the session is to accept, but for the version.
  session_id session;            ///< With pin.
  answer<accepted_run> accepted; ///< With pin.
  bool replayed = false;
  std::optional<errc> refused;
  std::int64_t version = 0;
  bool from_peer = false; ///< Another process sent it here; it goes no further.
};

/// A creation that needs a name of its own: an agent its slug, a workspace its id. One of the two.
struct names_mail {
  event_origin origin;
  workspace_id workspace;
  std::shared_ptr<create_agent_request> agent;
  std::shared_ptr<create_workspace_request> create_workspace;
  std::string ulid; ///< Of the ids that follow from the request.
  answer<agent_answer> to_agent;
  answer<workspace_answer> to_workspace;
  stream_id owner;        ///< What is to be created; this and the following are set by the actor.
  bool existed = false;   ///< It was there, by an earlier command or by this one.
  bool under_way = false; ///< Others wait for it.
  bool held = false;      ///< It has waited for another.
  std::optional<errc> refused;
};

struct key_mail {
  event_origin origin;
  key::command command;
  answer<key_answer> to;
  bool replayed = false;
  std::optional<errc> refused;
};
using key_actor = caf::typed_actor<caf::reacts_to<key_mail>, caf::reacts_to<append_done>,
                                   caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

struct workspace_mail {
  event_origin origin;
  workspace::command command;
  answer<workspace_answer> to;
  names_actor coordinator; ///< Hears that it is over.
  bool replayed = false;
  std::optional<errc> refused;
  bool from_peer = false; ///< Another process sent it here; it goes no further.
};
using workspace_actor =
    caf::typed_actor<caf::reacts_to<workspace_mail>, caf::reacts_to<append_done>,
                     caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

struct audit_mail {
  event_origin origin;
  workspace_id workspace;
  audit::command command;
  answer<refusal_recorded> to;
  bool from_peer = false; ///< Another process sent it here, maybe twice; it goes no further.
};
using audit_actor = caf::typed_actor<caf::reacts_to<audit_mail>, caf::reacts_to<append_done>,
                                     caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

/// What another process reports of one of its slots, whose stream is held here.
struct slot_mail {
  event_origin origin;
  worker::command command;
  answer<peer_done> to;
  bool known = false; ///< Set by the actor: it was written before.
};
using slot_actor = caf::typed_actor<caf::reacts_to<slot_mail>, caf::reacts_to<append_done>,
                                    caf::reacts_to<leave_atom>, caf::reacts_to<yield_atom>>;

/// Mail for an entity that may have no actor now.
struct to_session {
  session_id id;
  session_mail mail;
};
struct to_run {
  run_id id;
  run_mail mail;
};
struct to_queue {
  stream_id id;
  queue_message mail;
};
struct to_agent {
  agent_id id;
  agent_mail mail;
};
struct to_workspace {
  workspace_id id;
  workspace_mail mail;
};
struct to_audit {
  workspace_id id;
  audit_mail mail;
};
struct to_slot {
  worker_id id;
  slot_mail mail;
};
/// What an entity tells the directory of itself.
struct entity_idle { ///< May be passivated; `now`: at once.
  stream_id stream;
  bool now = false;
};
struct entity_left { ///< Answer to leave_atom; `stays`: it has work again.
  stream_id stream;
  bool stays = false;
};
/// Its state cannot be trusted: it refuses what it gets until the directory answers with
/// leave_atom, and is rebuilt.
struct entity_broken {
  stream_id stream;
};
struct wake_stream { ///< Recovery or a timer: see what its state asks for.
  stream_id stream;
  bool timer = false;
  recovery_hold hold;
  std::optional<std::uint32_t> partition; ///< Where it lives, if that is known.
};
/// What the directory counts against `runs.max_queued` (actors/queue_places.hpp): a request was not
/// accepted after all, or was known.
struct place_returned {
  workspace_id workspace;
  run_id run;
};
/// These runs wait: after a restart, or for another attempt.
struct runs_waiting {
  workspace_id workspace;
  session_id session;
  std::vector<run_id> runs;
};
/// It waits no more, and gets no worker either.
struct run_left_queue {
  workspace_id workspace;
  run_id run;
};
/// A writer of this process was refused: another process has claimed the partition.
struct partition_lost {
  std::uint32_t partition = 0;
};
/// Claim these partitions and recover what is unfinished in them; those that are held already are
/// left as they are.
struct take_partitions {
  std::vector<std::uint32_t> partitions;
  std::function<void(std::vector<take_failure>)> done;
};
/// They are held now, or could not be taken.
struct taking_over {
  std::vector<std::uint32_t> partitions;
};
/// Give these up: their streams' actors end, and what is at the ledger is waited for.
struct release_partitions {
  std::vector<std::uint32_t> partitions;
  pending_work until_done;
};
/// A request of the engine's callers.
struct directory_request {
  std::variant<std::pair<start_run_request, answer<accepted_run>>,
               std::pair<fork_run_request, answer<accepted_run>>,
               std::pair<post_message_request, answer<accepted_run>>,
               std::pair<cancel_session_request, answer<session_answer>>,
               std::pair<create_agent_request, answer<agent_answer>>,
               std::pair<change_version_request, answer<agent_answer>>,
               std::pair<create_key_request, answer<key_answer>>,
               std::pair<revoke_key_request, answer<key_answer>>,
               std::pair<create_workspace_request, answer<workspace_answer>>,
               std::pair<record_refusal_request, answer<refusal_recorded>>,
               std::pair<attach_worker_request, answer<attached_worker>>,
               std::pair<peer_command, answer<peer_done>>>
      body;
};
/// Something that the directory put off until the ledger was read, or another process answered.
struct go_on_with {
  std::function<void()> what;
};
/// The DIRECTORY. Finds or rebuilds the actor of an id; passivates idle ones; the single-writer
/// rule lives here.
using directory_actor = caf::typed_actor<
    caf::reacts_to<directory_request>, caf::reacts_to<to_session>, caf::reacts_to<to_run>,
    caf::reacts_to<to_agent>, caf::reacts_to<to_workspace>, caf::reacts_to<to_queue>,
    caf::reacts_to<to_audit>, caf::reacts_to<to_slot>, caf::reacts_to<entity_idle>,
    caf::reacts_to<entity_left>, caf::reacts_to<entity_broken>, caf::reacts_to<wake_stream>,
    caf::reacts_to<place_returned>, caf::reacts_to<runs_waiting>, caf::reacts_to<run_left_queue>,
    caf::reacts_to<take_partitions>, caf::reacts_to<taking_over>,
    caf::reacts_to<release_partitions>, caf::reacts_to<partition_lost>, caf::reacts_to<go_on_with>,
    caf::reacts_to<line_end_here>, caf::reacts_to<tick_atom>, caf::reacts_to<drain_atom>>;

/// A command for an entity whose partition another process holds.
struct carry_command {
  std::uint32_t partition = 0;
  peer_command what;
  answer<peer_done> to;
  bool is_new = false; ///< Nobody has sent it before: its first answer is not a repeated one.
  std::int64_t patience_ms = 20'000; ///< So long it is repeated.
};
struct command_carried {
  std::uint64_t ticket = 0;
  result<peer_done, refusal_info> outcome = refusal_info{};
};
/// The COURIER (actors/courier_actor.hpp). Only where there are other processes.
using courier_actor =
    caf::typed_actor<caf::reacts_to<carry_command>, caf::reacts_to<command_carried>,
                     caf::reacts_to<tick_atom, std::uint64_t>>;

/// Due times of passivated and live entities alike.
struct arm_timer {
  stream_id stream;
  std::optional<std::int64_t> due_ms; ///< Nothing: disarm.
};
using timer_wheel_actor =
    caf::typed_actor<caf::reacts_to<arm_timer>, caf::reacts_to<tick_atom, std::uint64_t>>;

/// Takes artifacts over, away from the actors' thread.
struct take_artifact_mail {
  std::string work_dir;
  bool uploaded = false; ///< The content is in the blob store already.
  std::int64_t attempt = 0;
  frame_ptr frame;
  run_actor by;
  session_id session;
  workspace_id workspace;
};
/// A work folder that is not needed any more.
struct remove_folder {
  std::string path;
};
using importer_actor =
    caf::typed_actor<caf::reacts_to<take_artifact_mail>, caf::reacts_to<remove_folder>>;

} // namespace runledger

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::append_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::append_batch)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::group_done)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::partition_taken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::partition_vacated)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::partition_lost)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::take_partitions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::taking_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::release_partitions)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::recovery_begins)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::drop_what_is_not_held)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::session_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::dispatch_entry)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::run_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::worker_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::slot_released)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::slot_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::slot_tainted)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::slot_empty)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::forget_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::recovery_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::drain_slots)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::agent_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::names_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::creation_over)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::key_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::workspace_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::audit_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_run)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::queue_message)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_queue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::line_event)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::line_end_here)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::queue_elsewhere)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_agent)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_workspace)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_audit)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::to_slot)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::entity_idle)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::entity_left)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::entity_broken)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::wake_stream)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::place_returned)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::runs_waiting)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::run_left_queue)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::directory_request)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::go_on_with)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::carry_command)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::command_carried)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::slot_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::arm_timer)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::take_artifact_mail)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(runledger::remove_folder)
