#pragma once

#include "actors/known_names.hpp"

#include <unordered_map>

namespace runledger {

/// Agents by id or slug, as the ledger says. A name that is known never changes its owner once the
/// owner exists, so only an unknown one (or one whose owner may be a ghost) is looked up again.
class agent_names {
public:
  explicit agent_names(const event_log& log) : log_(log), names_(log) {}

  std::optional<agent_id> find(const std::string& agent, const workspace_id& workspace) {
    if (is_id(agent, "ag_"))
      return agent_id{agent};
    auto& known = known_[workspace.value];
    if (const auto* owner = names::owner_of(known, "agent", agent))
      return agent_id{*owner};
    const auto* now = names_.of(workspace);
    const auto* owner = now != nullptr ? names::owner_of(*now, "agent", agent) : nullptr;
    if (owner == nullptr)
      return std::nullopt;
    const agent_id id{*owner};
    if (auto head = log_.head(stream_of(id)); head && head->has_value())
      known.owners["agent/" + agent] = id.value;
    return id;
  }

private:
  const event_log& log_;
  known_names names_;
  std::unordered_map<std::string, names::state> known_; // By workspace.
};

} // namespace runledger
