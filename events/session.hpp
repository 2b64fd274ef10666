#pragma once

#include "events/fields.hpp"
#include "events/recipe.hpp"
#include "events/result.hpp"
#include "events/run.hpp"

#include <string>
#include <variant>
#include <vector>

/// The SESSION: an ordered list of runs (turns) pinned to one agent version. Stream `sess_...`.
namespace runledger::session {

/// Where a forked run leaves the run that it was forked from.
struct fork_point {
  std::string at;           ///< The key of the first step that it executes itself.
  std::uint64_t before = 0; ///< Seq in that run's stream: what was recorded earlier is taken over.
  friend bool operator==(const fork_point&, const fork_point&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("at", f.at);
    v("before_seq", f.before);
  }
};

/// Accepts a run: the answer, the pending run's row and the idempotency decision rest on this one
/// fact. The first turn's is the session's seq 1.
struct turn_accepted {
  static constexpr std::string_view name = "session.turn_accepted";
  std::int64_t turn = 0;
  run_id run;
  agent_id agent;
  std::string agent_slug;
  std::int64_t agent_version = 0;
  std::string kind = "agent", trigger = "manual";
  payload prompt, initial_state; ///< One of them.
  run_limits limits;
  run_id parent_run;
  std::string key;                ///< Idempotency-Key; empty: none.
  digest fingerprint;             ///< Of the request; zero without a key.
  std::optional<fork_point> fork; ///< Set: forked from parent_run.
  friend bool operator==(const turn_accepted&, const turn_accepted&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("turn", f.turn);
    v("run_id", f.run);
    v("agent_id", f.agent);
    v("agent_slug", f.agent_slug);
    v("agent_version", f.agent_version);
    v("kind", f.kind);
    v("trigger", f.trigger);
    v("prompt", f.prompt);
    v("initial_state", f.initial_state);
    v("limits", f.limits);
    v("parent_run_id", f.parent_run);
    v("idempotency_key", f.key);
    v("fingerprint", f.fingerprint);
    v("fork", f.fork);
  }
};

struct turn_ended {
  static constexpr std::string_view name = "session.turn_ended";
  run_id run;
  std::string status; ///< `succeeded`, `failed`, `cancelled`
  friend bool operator==(const turn_ended&, const turn_ended&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("run_id", f.run);
    v("status", f.status);
  }
};

/// Stops scheduling; every run that has not ended is to be cancelled.
struct cancel_requested {
  static constexpr std::string_view name = "session.cancel_requested";
  std::string reason;
  std::string key;
  digest fingerprint;
  friend bool operator==(const cancel_requested&, const cancel_requested&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("reason", f.reason);
    v("idempotency_key", f.key);
    v("fingerprint", f.fingerprint);
  }
};

struct terminated {
  static constexpr std::string_view name = "session.terminated";
  std::string reason;
  friend bool operator==(const terminated&, const terminated&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("reason", f.reason);
  }
};

using event = std::variant<turn_accepted, turn_ended, cancel_requested, terminated>;

enum class phase : std::uint8_t { absent, active, cancelling, terminated };
std::string_view to_string(phase p);

struct turn {
  run_id run;
  std::int64_t number = 0;
  std::uint64_t seq = 0; ///< Of its turn_accepted in the session's stream, where its input stands.
  std::string status = "pending"; ///< `pending` until it ended.
  digest fingerprint;
  timestamp accepted_at{};
  friend bool operator==(const turn&, const turn&) = default;
  bool ended() const { return status != "pending"; }
};

struct state {
  phase at = phase::absent;
  workspace_id workspace;
  agent_id agent;
  std::string agent_slug;
  std::int64_t agent_version = 0;
  run_limits limits; ///< Pinned with the version: every turn has them.
  std::vector<turn> turns;
  std::size_t first_open = 0; ///< Index of the first turn that has not ended.
  std::string reason;         ///< Of the cancellation.
  std::string cancel_key;
  digest cancel_fingerprint;
  std::optional<timestamp> created_at, last_activity_at, terminated_at;
  friend bool operator==(const state&, const state&) = default;
};

bool open(const state& s);
/// The turn whose run may be scheduled now, if any: the first that has not ended.
const turn* current(const state& s);
const turn* find(const state& s, const run_id& run);

struct accept_turn {
  command_id id;
  run_id run;
  agent_id
      agent; ///< First turn: agent and version to pin. Later ones: empty, the session's are used.
  std::string agent_slug;
  std::int64_t agent_version = 0;
  bool first = false; ///< Makes the session if it does not exist; otherwise it must.
  std::string trigger = "manual";
  payload prompt, initial_state;
  run_limits limits;
  run_id parent_run;
  std::string key;
  digest fingerprint;
  std::optional<fork_point> fork;
};
struct end_turn {
  run_id run;
  std::string status;
};
struct cancel {
  std::string reason;
  std::string key;
  digest fingerprint;
};
using command_body = std::variant<accept_turn, end_turn, cancel>;
struct command {
  timestamp now{};
  workspace_id workspace; ///< The asker's.
  command_body body;
};

enum class rejection : std::uint8_t {
  not_found = 1,       ///< No such session in this workspace.
  terminated,          ///< It takes no more messages.
  idempotency_conflict ///< The key was used for another request.
};

/// Dispatch the current turn, if there is one (and again after a restart).
struct dispatch_current {};
/// Cancel every run that has not ended.
struct cancel_runs {};
/// Every run has ended, and a crash came before `terminated`: ask for the cancellation again.
struct finish_cancel {};
using effect = std::variant<dispatch_current, cancel_runs, finish_cancel>;

struct outcome {
  std::vector<event> facts;
  std::vector<effect> effects;
  bool replayed = false; ///< The command was known already: the answer is the first one again.
};
using decision = runledger::result<outcome, rejection>;

[[nodiscard]] decision decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact, timestamp at, std::uint64_t seq,
                           const workspace_id& workspace);
bool fits(const state& now, const event& fact);
std::vector<effect> recover(const state& now);

} // namespace runledger::session
