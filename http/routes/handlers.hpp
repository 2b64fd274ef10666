#pragma once

#include "http/reply.hpp"
#include "http/request.hpp"
#include "http/router.hpp"

/// Every handler of the route table. Handlers parse, ask and render; no rule of the domain lives in
/// them. HTTP thread; they never block.
namespace runledger::http::routes {

// agents.cpp
void create_agent(route_context& c, const request& rq, reply r);
void list_agents(route_context& c, const request& rq, reply r);
void show_agent(route_context& c, const request& rq, reply r);
void create_version(route_context& c, const request& rq, reply r);
void list_versions(route_context& c, const request& rq, reply r);
void show_version(route_context& c, const request& rq, reply r);
void change_version(route_context& c, const request& rq, reply r);

// runs.cpp
void start_run(route_context& c, const request& rq, reply r);
void fork_run(route_context& c, const request& rq, reply r);
void show_run(route_context& c, const request& rq, reply r);
void list_runs(route_context& c, const request& rq, reply r);
void explain_run(route_context& c, const request& rq, reply r);

// run_logs.cpp
void run_log_events(route_context& c, const request& rq, reply r);
void run_log_link(route_context& c, const request& rq, reply r);
void download_run_log(route_context& c, const request& rq, reply r);

// artifacts.cpp
void list_artifacts(route_context& c, const request& rq, reply r);
void download_artifact(route_context& c, const request& rq, reply r);

// sessions.cpp
void list_sessions(route_context& c, const request& rq, reply r);
void show_session(route_context& c, const request& rq, reply r);
void session_events(route_context& c, const request& rq, reply r);
void post_message(route_context& c, const request& rq, reply r);
void cancel_session(route_context& c, const request& rq, reply r);

// internal.cpp, for other nodes
void connect_worker_of_node(route_context& c, const request& rq, reply r);
void open_queue_line(route_context& c, const request& rq, reply r);

// workers.cpp
void connect_worker(route_context& c, const request& rq, reply r);
void greet_by_poll(route_context& c, const request& rq, reply r);
void take_from_poll(route_context& c, const request& rq, reply r);
void give_to_poll(route_context& c, const request& rq, reply r);
void leave_by_poll(route_context& c, const request& rq, reply r);
void store_worker_blob(route_context& c, const request& rq, reply r);

// catalog.cpp
void list_workers(route_context& c, const request& rq, reply r);
void agent_analytics(route_context& c, const request& rq, reply r);
void create_key(route_context& c, const request& rq, reply r);
void list_keys(route_context& c, const request& rq, reply r);
void revoke_key(route_context& c, const request& rq, reply r);
void create_workspace(route_context& c, const request& rq, reply r);
void list_workspaces(route_context& c, const request& rq, reply r);
void list_projections(route_context& c, const request& rq, reply r);
void rebuild_projection(route_context& c, const request& rq, reply r);

// internal.cpp, run_logs.cpp: for other nodes
void carry_out_command(route_context& c, const request& rq, reply r);
void refresh_keys(route_context& c, const request& rq, reply r);
void give_raw_log(route_context& c, const request& rq, reply r);

// health.cpp
void livez(route_context& c, const request& rq, reply r);
void readyz(route_context& c, const request& rq, reply r);
void metrics(route_context& c, const request& rq, reply r);
void openapi(route_context& c, const request& rq, reply r);

} // namespace runledger::http::routes
