#include "http/routes/table.hpp"

#include "http/routes/handlers.hpp"

namespace runledger::http {

namespace {

namespace rows {

using enum verb;
constexpr auto form = body_kind::json_or_form;
constexpr auto none = body_kind::none;
constexpr auto open = access::open;
constexpr auto keyed = access::keyed;
constexpr auto node = access::node;

// Method, pattern, handler, scope, body, access, group of the latency histogram.
const route table[] = {
    {post, "/api/v1/agents", routes::create_agent, scope::write, form, keyed, "write"},
    {get, "/api/v1/agents", routes::list_agents, scope::read, none, keyed, "list"},
    {get, "/api/v1/agents/{agent}", routes::show_agent, scope::read, none, keyed, "read"},
    {post, "/api/v1/agents/{agent}/versions", routes::create_version, scope::write, form, keyed,
     "write"},
    {get, "/api/v1/agents/{agent}/versions", routes::list_versions, scope::read, none, keyed,
     "list"},
    {get, "/api/v1/agents/{agent}/versions/{version}", routes::show_version, scope::read, none,
     keyed, "read"},
    {patch, "/api/v1/agents/{agent}/versions/{version}", routes::change_version, scope::write, form,
     keyed, "write"},

    {post, "/api/v1/agents/{agent}/runs", routes::start_run, scope::write, form, keyed,
     "start_run"},
    {get, "/api/v1/agents/{agent}/runs", routes::list_runs, scope::read, none, keyed, "list"},
    {post, "/api/v1/agents/{agent}/versions/{version}/runs", routes::start_run, scope::write, form,
     keyed, "start_run"},
    {get, "/api/v1/runs", routes::list_runs, scope::read, none, keyed, "list"},
    {get, "/api/v1/runs/{run}", routes::show_run, scope::read, none, keyed, "show_run"},
    {post, "/api/v1/runs/{run}/fork", routes::fork_run, scope::write, form, keyed, "start_run"},
    {get, "/api/v1/runs/{run}/explain", routes::explain_run, scope::read, none, keyed, "read"},
    {get, "/api/v1/runs/{run}/log/events", routes::run_log_events, scope::read, none, keyed,
     "events"},
    {get, "/api/v1/runs/{run}/log", routes::run_log_link, scope::read, none, keyed, "read"},
    {get, "/api/v1/runs/{run}/log/raw", routes::download_run_log, scope::none, none, open,
     "download"},
    {get, "/api/v1/runs/{run}/artifacts", routes::list_artifacts, scope::read, none, keyed, "list"},
    {get, "/api/v1/artifacts/{artifact}", routes::download_artifact, scope::read, none, keyed,
     "download"},

    {get, "/api/v1/sessions", routes::list_sessions, scope::read, none, keyed, "list"},
    {get, "/api/v1/sessions/{session}", routes::show_session, scope::read, none, keyed, "read"},
    {get, "/api/v1/sessions/{session}/events", routes::session_events, scope::read, none, keyed,
     "events"},
    {post, "/api/v1/sessions/{session}/messages", routes::post_message, scope::write, form, keyed,
     "post_message"},
    {post, "/api/v1/sessions/{session}/cancel", routes::cancel_session, scope::write, form, keyed,
     "write"},

    {get, "/api/v1/workers", routes::list_workers, scope::read, none, keyed, "list"},
    {get, "/api/v1/workers/connect", routes::connect_worker, scope::worker, none, keyed, "worker"},
    {put, "/api/v1/workers/connections/{connection}", routes::greet_by_poll, scope::worker,
     body_kind::json, keyed, "worker"},
    {delete_, "/api/v1/workers/connections/{connection}", routes::leave_by_poll, scope::worker,
     none, keyed, "worker"},
    {put, "/api/v1/workers/connections/{connection}/messages/{number}", routes::take_from_poll,
     scope::worker, body_kind::json, keyed, "worker"},
    {get, "/api/v1/workers/connections/{connection}/messages", routes::give_to_poll, scope::worker,
     none, keyed, "worker"},
    {put, "/api/v1/workers/blobs/{digest}", routes::store_worker_blob, scope::worker,
     body_kind::bytes, keyed, "worker"},
    {get, "/api/v1/analytics/agents", routes::agent_analytics, scope::read, none, keyed, "list"},

    {post, "/api/v1/keys", routes::create_key, scope::admin, form, keyed, "write"},
    {get, "/api/v1/keys", routes::list_keys, scope::admin, none, keyed, "list"},
    {delete_, "/api/v1/keys/{key}", routes::revoke_key, scope::admin, none, keyed, "write"},
    {post, "/api/v1/workspaces", routes::create_workspace, scope::admin, form, keyed, "write"},
    {get, "/api/v1/workspaces", routes::list_workspaces, scope::admin, none, keyed, "list"},
    {get, "/api/v1/admin/projections", routes::list_projections, scope::admin, none, keyed, "list"},
    {post, "/api/v1/admin/projections/{view}/rebuild", routes::rebuild_projection, scope::admin,
     form, keyed, "write"},

    {post, "/internal/v1/commands", routes::carry_out_command, scope::none, body_kind::json, node,
     "node"},
    {post, "/internal/v1/keys/refresh", routes::refresh_keys, scope::none, none, node, "node"},
    {get, "/internal/v1/workers/connect", routes::connect_worker_of_node, scope::none, none, node,
     "node"},
    {get, "/internal/v1/queues/{workspace}/{queue}", routes::open_queue_line, scope::none, none,
     node, "node"},
    {get, "/internal/v1/logs/{run}", routes::give_raw_log, scope::none, none, node, "node"},

    {get, "/livez", routes::livez, scope::none, none, open, "health"},
    {get, "/readyz", routes::readyz, scope::none, none, open, "health"},
    {get, "/metrics", routes::metrics, scope::none, none, open, "health"},
    {get, "/openapi.json", routes::openapi, scope::none, none, open, "health"},
};

} // namespace rows
} // namespace

std::span<const route> route_table() {
  return rows::table;
}

} // namespace runledger::http
