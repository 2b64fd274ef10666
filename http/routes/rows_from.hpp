#pragma once

#include "events/agent.hpp"
#include "events/catalog_entry.hpp"
#include "events/log/blob_store.hpp"
#include "events/session.hpp"
#include "projections/rows.hpp"

#include <vector>

/// The rows of what a write has just made or changed, from the entity's own state: an answer to a
/// write does not go through the views.
namespace runledger::http {

struct agent_object {
  views::agent_row row;
  std::vector<views::version_row> versions;
};
/// `as_created`: as the agent was after its first event (the answer to a repeated creation).
agent_object agent_from(const agent_id& id, const agent::state& state, bool as_created = false);

/// Version `number`, with its recipe. It exists.
views::version_row version_from(const agent_id& id, const agent::state& state, std::int64_t number,
                                const blob_store& blobs);

struct session_object {
  views::session_row row;
  std::vector<views::session_run> runs;
};
/// A run that has not ended shows as pending: its session does not know more.
session_object session_from(const session_id& id, const session::state& state);

views::key_row key_from(const key_id& id, const key::state& state);
views::workspace_row workspace_from(const workspace_id& id, const workspace::state& state);

/// Loads a payload that is in the blob store; nothing where it cannot be read.
std::function<std::optional<std::string>(const blob_ref&)> loader(const blob_store& blobs);

} // namespace runledger::http
