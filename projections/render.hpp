#pragma once

#include "projections/queries/agent_analytics.hpp"
#include "projections/queries/explain_run.hpp"
#include "projections/queries/projections_status.hpp"
#include "projections/rows.hpp"

#include <span>
#include <string>

/// The API's JSON objects (docs/openapi.json), appended to a text that the caller owns. Members
/// that are absent are null. Pure; any thread.
namespace runledger::views {

void append_run_json(std::string& out, const run_row& row);

/// What POST .../messages adds to the session object.
struct accepted_message {
  run_id run;
  std::string event_json; ///< The timeline item of the message.
};
void append_session_json(std::string& out, const session_row& row,
                         std::span<const session_run> runs,
                         const accepted_message* message = nullptr);

/// `versions` nullptr: as in a list, without the member.
void append_agent_json(std::string& out, const agent_row& row,
                       const std::vector<version_row>* versions);
void append_version_json(std::string& out, const version_row& row);
void append_artifact_json(std::string& out, const artifact_row& row);
void append_worker_json(std::string& out, const worker_row& row);
/// `secret`: the key text, shown once by POST /keys; nullptr: no such member; empty: null (a
/// replayed POST).
void append_key_json(std::string& out, const key_row& row, const std::string* secret = nullptr);
void append_workspace_json(std::string& out, const workspace_row& row);
void append_analytics_json(std::string& out, const analytics& answer);
void append_explanation_json(std::string& out, const explanation& answer);
void append_projection_json(std::string& out, const projection_status& one);

} // namespace runledger::views
