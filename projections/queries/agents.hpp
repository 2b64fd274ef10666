#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

struct agent_view {
  agent_row agent;
  std::vector<version_row> versions; ///< By number, without recipes.
};

/// By id or by slug. Nothing if there is none in this workspace; `corrupt` for a parked one.
answer<std::optional<agent_view>> agent_by_ref(view_reader& reader, const workspace_id& workspace,
                                               std::string_view id_or_slug);

/// Agents of a workspace, newest first.
answer<page<agent_row>> list_agents(view_reader& reader, const workspace_id& workspace,
                                    std::size_t limit, const std::optional<list_cursor>& after);

/// A version with its recipe; nothing if the agent has none of this number.
answer<std::optional<version_row>> agent_version(view_reader& reader, const agent_row& agent,
                                                 std::int64_t version);

/// Versions with their recipes, newest first. The cursor's `created_ms` is not used, `at` is the
/// version.
answer<page<version_row>> list_versions(view_reader& reader, const agent_row& agent,
                                        std::size_t limit, const std::optional<list_cursor>& after);

} // namespace runledger::views
