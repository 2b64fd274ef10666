#include "actors/request_home.hpp"

#include "actors/entity_traits.hpp"

namespace runledger {

namespace {

/// Of an entity that the request creates; empty while its id is not chosen.
stream_id created_stream(std::string_view prefix, const request_context& c,
                         std::string_view route) {
  auto ulid = ulid_of(c, route);
  return ulid.empty() ? stream_id{} : stream_id{std::string{prefix} + ulid};
}

} // namespace

std::optional<agent_id> find_agent(const event_log& log, const std::string& agent,
                                   const workspace_id& workspace) {
  if (is_id(agent, "ag_"))
    return agent_id{agent};
  auto known = fold_stream<names_traits>(log, names_stream_of(workspace));
  const auto* owner = known ? names::owner_of(known->state, "agent", agent) : nullptr;
  return owner != nullptr ? std::optional{agent_id{*owner}} : std::nullopt;
}

std::string ulid_of(const request_context& c, std::string_view route) {
  return c.idempotency_key.empty()
             ? c.ulid
             : derive_ulid({"request", c.workspace.value, route, c.idempotency_key});
}

std::string route_of(const start_run_request& ask, const agent_id& agent) {
  return "POST /agents/" + agent.value
         + (ask.version ? "/versions/" + std::to_string(*ask.version) + "/runs" : "/runs");
}
std::string route_of(const fork_run_request& ask) {
  return "POST /runs/" + ask.parent.value + "/fork";
}
std::string route_of(const post_message_request& ask) {
  return "POST /sessions/" + ask.session.value + "/messages";
}
std::string route_of(const cancel_session_request& ask) {
  return "POST /sessions/" + ask.session.value + "/cancel";
}

stream_id deciding_stream(const start_run_request& ask, const agent_lookup& agents) {
  if (ask.context.idempotency_key.empty())
    return created_stream("sess_", ask.context, {});
  auto agent = agents(ask.agent, ask.context.workspace);
  return agent ? created_stream("sess_", ask.context, route_of(ask, *agent)) : stream_id{};
}
stream_id deciding_stream(const fork_run_request& ask, const agent_lookup&) {
  return created_stream("sess_", ask.context, route_of(ask));
}
stream_id deciding_stream(const post_message_request& ask, const agent_lookup&) {
  return stream_of(ask.session);
}
stream_id deciding_stream(const cancel_session_request& ask, const agent_lookup&) {
  return stream_of(ask.session);
}
stream_id deciding_stream(const create_agent_request& ask, const agent_lookup&) {
  return names_stream_of(ask.context.workspace);
}
stream_id deciding_stream(const change_version_request& ask, const agent_lookup& agents) {
  auto agent = agents(ask.agent, ask.context.workspace);
  return agent ? stream_of(*agent) : stream_id{};
}
stream_id deciding_stream(const create_key_request& ask, const agent_lookup&) {
  return created_stream("key_", ask.context, create_key_route);
}
stream_id deciding_stream(const revoke_key_request& ask, const agent_lookup&) {
  return stream_of(ask.id);
}
stream_id deciding_stream(const create_workspace_request&, const agent_lookup&) {
  return names_stream_of(workspace_id{std::string{system_workspace}});
}
stream_id deciding_stream(const record_refusal_request& ask, const agent_lookup&) {
  return audit_stream_of(ask.context.workspace);
}

} // namespace runledger
