#include "http/routes/rows_from.hpp"

namespace runledger::http {

namespace {

views::version_row version_row_of(const agent_id& id, const agent::version& v,
                                  std::int64_t number) {
  views::version_row row;
  row.agent = id;
  row.version = number;
  row.status = agent::to_string(v.at);
  row.created_at = v.created_at;
  return row;
}

run::phase phase_of(const session::turn& t) {
  for (auto p : {run::phase::succeeded, run::phase::failed, run::phase::cancelled})
    if (t.status == run::to_string(p))
      return p;
  return run::phase::absent;
}

} // namespace

agent_object agent_from(const agent_id& id, const agent::state& state, bool as_created) {
  agent_object out;
  auto& row = out.row;
  row.id = id;
  row.workspace = state.workspace;
  row.slug = state.slug;
  row.name = state.title;
  row.description = state.description;
  row.active_version = agent::active_version(state);
  row.versions = static_cast<std::int64_t>(state.versions.size());
  row.created_at = state.created_at.value_or(timestamp{});
  row.updated_at = state.updated_at.value_or(row.created_at);
  for (std::int64_t n = 1; const auto& v : state.versions)
    out.versions.push_back(version_row_of(id, v, n++));
  if (as_created) {
    // The version that came with the agent is the only one that no command of its own made.
    const bool with_recipe = !state.versions.empty() && state.versions.front().command.empty();
    out.versions.resize(with_recipe ? 1 : 0);
    row.versions = row.active_version = with_recipe ? 1 : 0;
    row.updated_at = row.created_at;
    if (with_recipe)
      out.versions.front().status = agent::to_string(agent::version_phase::active);
  }
  return out;
}

views::version_row version_from(const agent_id& id, const agent::state& state, std::int64_t number,
                                const blob_store& blobs) {
  const auto& v = state.versions.at(static_cast<std::size_t>(number - 1));
  auto row = version_row_of(id, v, number);
  if (auto text = load(v.recipe, blobs))
    row.recipe = std::move(*text);
  return row;
}

session_object session_from(const session_id& id, const session::state& state) {
  session_object out;
  auto& row = out.row;
  row.id = id;
  row.workspace = state.workspace;
  row.agent = state.agent;
  row.agent_slug = state.agent_slug;
  row.agent_version = state.agent_version;
  row.phase = state.at;
  row.reason = state.reason;
  row.created_at = state.created_at.value_or(timestamp{});
  row.last_activity_at = state.last_activity_at.value_or(row.created_at);
  row.terminated_at = state.terminated_at;
  for (const auto& t : state.turns)
    out.runs.push_back({t.run, phase_of(t), t.accepted_at, std::nullopt});
  return out;
}

views::key_row key_from(const key_id& id, const key::state& state) {
  views::key_row row;
  row.id = id;
  row.workspace = state.workspace;
  row.name = state.title;
  row.scopes = key::scopes_from(state.scopes).value_or(0);
  row.secret_hash = state.secret_hash;
  row.created_at = state.created_at.value_or(timestamp{});
  row.expires_at = state.expires_at;
  row.revoked_at = state.revoked_at;
  return row;
}

views::workspace_row workspace_from(const workspace_id& id, const workspace::state& state) {
  views::workspace_row row;
  row.id = id;
  row.name = state.title;
  row.created_at = state.created_at.value_or(timestamp{});
  return row;
}

std::function<std::optional<std::string>(const blob_ref&)> loader(const blob_store& blobs) {
  return [&blobs](const blob_ref& ref) -> std::optional<std::string> {
    auto content = blobs.get(ref.id);
    if (!content)
      return std::nullopt;
    return std::move(*content);
  };
}

} // namespace runledger::http
