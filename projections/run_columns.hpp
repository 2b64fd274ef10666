#pragma once

#include "projections/sql.hpp"

namespace runledger::views {

/// Longer inputs and results are not copied into the views: they are read from the ledger.
inline constexpr std::size_t copied_content_bytes = 1024;

/// A run as it is stored: the row and where its long contents stand.
struct stored_run : run_row {
  static constexpr int long_prompt = 1, long_state = 2, long_result = 4;
  place session_at = place::none;
  int long_content = 0;
  place result_at = place::none;
  std::optional<timestamp> timeout_due;
};

/// Selects what read_run() reads; `WHERE` and `ORDER` follow. Aliases: r the run, s its session.
#define RUNLEDGER_RUN_SELECT                                                                       \
  "SELECT r.at, r.id, r.session, s.id, r.workspace, r.turn, r.accepted_seq, r.phase, r.kind, "     \
  "r.trigger, r.agent_id, s.agent_slug, s.agent_version, r.parent_run, r.prompt, "                 \
  "r.initial_state, r.result, r.error_code, r.error_message, r.cost_micro_usd, r.tokens_in, "      \
  "r.tokens_out, r.attempt, r.steps_completed, r.artifact_count, r.created_ms, r.started_ms, "     \
  "r.finished_ms, r.first_seq, r.last_seq, r.cause_seq, r.due_ms, r.timeout_due_ms, "              \
  "r.cancelling, r.turn_ended, r.parked, r.long_content, r.result_at "                             \
  "FROM runs r JOIN sessions s ON s.at = r.session "

inline void read_run(const query& q, stored_run& r) {
  q.values().all(r.at, r.id, r.session_at, r.session, r.workspace, r.turn, r.accepted_seq, r.phase,
                 r.kind, r.trigger, r.agent, r.agent_slug, r.agent_version, r.parent_run, r.prompt,
                 r.initial_state, r.result, r.error.code, r.error.message, r.cost, r.tokens_in,
                 r.tokens_out, r.attempt, r.steps_completed, r.artifact_count, r.created_at,
                 r.started_at, r.finished_at, r.first_seq, r.last_seq, r.cause_seq, r.due,
                 r.timeout_due, r.cancelling, r.turn_ended, r.parked, r.long_content, r.result_at);
}

/// Likewise for a session (alias s).
#define RUNLEDGER_SESSION_SELECT                                                                   \
  "SELECT s.at, s.id, s.workspace, s.agent_id, s.agent_slug, s.agent_version, s.phase, s.reason, " \
  "s.created_ms, s.last_activity_ms, s.terminated_ms, s.parked FROM sessions s "

inline void read_session(const query& q, session_row& s) {
  q.values().all(s.at, s.id, s.workspace, s.agent, s.agent_slug, s.agent_version, s.phase, s.reason,
                 s.created_at, s.last_activity_at, s.terminated_at, s.parked);
}

} // namespace runledger::views
