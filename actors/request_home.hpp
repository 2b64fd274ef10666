#pragma once

#include "actors/engine.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

/// Which stream decides on a request, from the ids in it alone. Pure but for the look-up of slugs,
/// which is the caller's. The directory makes its ids here too, so that both always agree.
namespace runledger {

/// An agent's id from an id or a slug; nothing: there is none.
using agent_lookup =
    std::function<std::optional<agent_id>(const std::string& agent, const workspace_id&)>;

/// The same from the ledger as it is now.
std::optional<agent_id> find_agent(const event_log& log, const std::string& agent,
                                   const workspace_id& workspace);

/// The ULID of the ids that follow from a request. With an Idempotency-Key it is derived from
/// (workspace, route with resolved ids, key); else it is what the context brings; empty: whoever
/// decides chooses one.
std::string ulid_of(const request_context& c, std::string_view route);

std::string route_of(const start_run_request& ask, const agent_id& agent);
std::string route_of(const fork_run_request& ask);
std::string route_of(const post_message_request& ask);
std::string route_of(const cancel_session_request& ask);
inline constexpr std::string_view create_agent_route = "POST /agents";
inline constexpr std::string_view create_key_route = "POST /keys";
inline constexpr std::string_view create_workspace_route = "POST /workspaces";

/// The stream that decides; it names the partition that the request needs. Empty: any process can
/// choose an id of its own for it, or refuse it.
stream_id deciding_stream(const start_run_request& ask, const agent_lookup& agents);
stream_id deciding_stream(const fork_run_request& ask, const agent_lookup&);
stream_id deciding_stream(const post_message_request& ask, const agent_lookup&);
stream_id deciding_stream(const cancel_session_request& ask, const agent_lookup&);
stream_id deciding_stream(const create_agent_request& ask, const agent_lookup&);
stream_id deciding_stream(const change_version_request& ask, const agent_lookup& agents);
stream_id deciding_stream(const create_key_request& ask, const agent_lookup&);
stream_id deciding_stream(const revoke_key_request& ask, const agent_lookup&);
stream_id deciding_stream(const create_workspace_request& ask, const agent_lookup&);
stream_id deciding_stream(const record_refusal_request& ask, const agent_lookup&);

} // namespace runledger
