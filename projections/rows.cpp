#include "projections/rows.hpp"

namespace runledger::views {

run_row run_row_from(const run_id& id, const run::state& state, const session_id& session,
                     const workspace_id& workspace, const session::turn_accepted& accepted,
                     timestamp accepted_at,
                     const std::function<std::optional<std::string>(const blob_ref&)>& load) {
  auto text_of = [&](const payload& p) {
    return p.blob ? (load ? load(*p.blob).value_or(std::string{}) : std::string{}) : p.json;
  };
  run_row out;
  out.id = id;
  out.session = session;
  out.workspace = workspace;
  out.turn = accepted.turn;
  out.phase = state.at;
  out.kind = accepted.kind;
  out.trigger = accepted.trigger;
  out.agent = accepted.agent;
  out.agent_slug = accepted.agent_slug;
  out.agent_version = accepted.agent_version;
  out.parent_run = accepted.parent_run;
  out.prompt = text_of(accepted.prompt);
  out.initial_state = text_of(accepted.initial_state);
  if (state.at == run::phase::succeeded)
    out.result = text_of(state.result);
  if (state.at == run::phase::failed)
    out.error = state.error;
  out.cost = state.cost;
  out.tokens_in = state.tokens_in;
  out.tokens_out = state.tokens_out;
  out.attempt = state.attempt;
  out.steps_completed = state.steps_completed;
  out.artifact_count = state.artifact_count;
  out.created_at = accepted_at;
  out.started_at = state.started_at;
  out.finished_at = state.finished_at;
  return out;
}

} // namespace runledger::views
