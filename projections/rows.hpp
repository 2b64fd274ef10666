#pragma once

#include "events/fields.hpp"
#include "events/ids.hpp"
#include "events/money.hpp"
#include "events/run.hpp"
#include "events/session.hpp"
#include "events/time.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// What the views hold, as values: one struct per row. Queries return them, render.hpp makes the
/// API's JSON objects of them.
namespace runledger::views {

/// Where an event stands in the ledger, as one number that is the same on every node: 16 bits of
/// partition, 47 bits of offset. Rows are keyed by the place of the event that made them.
enum class place : std::int64_t { none = -1 };
constexpr place place_at(std::uint32_t partition, std::int64_t offset) {
  return place{static_cast<std::int64_t>(partition) << 47 | offset};
}
constexpr std::uint32_t partition_of(place p) {
  return static_cast<std::uint32_t>(static_cast<std::int64_t>(p) >> 47);
}
constexpr std::int64_t offset_of(place p) {
  return static_cast<std::int64_t>(p) & ((std::int64_t{1} << 47) - 1);
}

/// A run as its row and as the API shows it. Payloads are JSON texts, empty: absent (null).
struct run_row {
  place at = place::none; ///< Of the event that accepted it.
  run_id id;
  session_id session;
  workspace_id workspace;
  std::int64_t turn = 0;
  std::uint64_t accepted_seq = 0;        ///< Of its session.turn_accepted, in the session's stream.
  run::phase phase = run::phase::absent; ///< absent: pending.
  std::string kind, trigger;
  agent_id agent;
  std::string agent_slug;
  std::int64_t agent_version = 0;
  run_id parent_run;
  std::string prompt, initial_state, result;
  failure error; ///< Shown when the run failed.
  micro_usd cost{0};
  std::int64_t tokens_in = 0, tokens_out = 0, attempt = 0, steps_completed = 0, artifact_count = 0;
  timestamp created_at{};
  std::optional<timestamp> started_at, finished_at;

  std::uint64_t first_seq = 0;  ///< In the session's timeline, of its user_message.
  std::uint64_t last_seq = 0;   ///< In the session's timeline, of its terminal item; 0: not ended.
  std::uint64_t cause_seq = 0;  ///< In the run's stream, of the event that put it where it is; 0:
                                ///< its acceptance.
  std::optional<timestamp> due; ///< backing_off: the next attempt; running: what ends it.
  bool cancelling = false;      ///< Its cancellation was asked for and it has not ended.
  bool turn_ended = false;      ///< The session knows that it ended.
  bool parked = false;          ///< A damaged event froze this row; readers must not serve it.
};

/// The word that the API uses: `pending, running, succeeded, failed, cancelled`.
inline std::string_view status_of(const run_row& r) {
  return run::to_string(r.phase);
}

/// One turn in the session object.
struct session_run {
  run_id id;
  run::phase phase = run::phase::absent;
  timestamp created_at{};
  std::optional<timestamp> finished_at;
};

struct session_row {
  place at = place::none; ///< Of its first event.
  session_id id;
  workspace_id workspace;
  agent_id agent;
  std::string agent_slug;
  std::int64_t agent_version = 0;
  session::phase phase = session::phase::absent;
  std::string reason; ///< Of its cancellation.
  timestamp created_at{}, last_activity_at{};
  std::optional<timestamp> terminated_at;
  bool parked = false;
};

struct session_view {
  session_row session;
  std::vector<session_run> runs; ///< Oldest first.
};

struct version_row {
  agent_id agent;
  std::int64_t version = 0;
  std::string status; ///< `draft`, `active`, `archived`
  timestamp created_at{};
  std::string recipe; ///< JSON, loaded where the question asks for it.
};

struct agent_row {
  place at = place::none;
  agent_id id;
  workspace_id workspace;
  std::string slug, name, description;
  std::int64_t active_version = 0; ///< 0: none.
  std::int64_t versions = 0;       ///< How many there are.
  timestamp created_at{}, updated_at{};
  bool parked = false;
};

struct artifact_row {
  place at = place::none;
  artifact_id id;
  run_id run;
  workspace_id workspace;
  std::string name, media_type;
  std::int64_t size_bytes = 0;
  digest content;
  timestamp created_at{};
};

struct worker_row {
  place at = place::none;
  worker_id id;
  std::string node;
  std::int64_t slot = 0;
  bool busy = false;
  agent_id agent; ///< Whose process it runs, or ran last; empty: none, or another workspace's.
  std::int64_t agent_version = 0;
  std::string layers; ///< JSON array of the sandbox's layers; empty: none.
  std::string last_reason;
  timestamp registered_at{}, changed_at{};
  bool parked = false;
  /// Of a remote worker, which has neither node nor slot; empty: a slot of a server.
  std::string queue;
  std::string name;
  std::int64_t slots = 0, leases = 0;
  bool gone = false; ///< It serves the queue no more.
};

struct key_row {
  place at = place::none;
  key_id id;
  workspace_id workspace;
  std::string name;
  std::uint8_t scopes = 0; ///< Bits of key::scope.
  digest secret_hash;
  timestamp created_at{};
  std::optional<timestamp> expires_at, revoked_at;
  bool parked = false; ///< It opens nothing: what happened to it cannot be read.
};

struct workspace_row {
  place at = place::none;
  workspace_id id;
  std::string name;
  timestamp created_at{};
};

/// An entity (or a session's timeline) that a damaged or unknown event stopped.
struct parked_row {
  std::string entity; ///< Name of the stream whose view stands still.
  std::string view;   ///< `runs`, `sessions`, `timeline`, `agents`, `workers`, `keys`, `workspaces`
  stream_id stream;   ///< Of the event.
  std::uint64_t seq = 0;
  place at = place::none;
  std::string reason;
};

/// The run as its actor knows it, without going through the views: byte for byte what the row
/// renders to once the views have caught up. `accepted` is the session's fact that made the run,
/// `accepted_at` its time; `load` gives a blob's JSON (see render.hpp).
run_row run_row_from(const run_id& id, const run::state& state, const session_id& session,
                     const workspace_id& workspace, const session::turn_accepted& accepted,
                     timestamp accepted_at,
                     const std::function<std::optional<std::string>(const blob_ref&)>& load);

} // namespace runledger::views
