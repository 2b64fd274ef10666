#pragma once

#include "actors/services.hpp"

#include <map>

namespace runledger {

/// Chooses the version of an agent for its runs, and passes their acceptance on to their sessions.
/// It needs the agent's state alone: its actor's, or what a replica says behind a barrier.
class version_pinner {
public:
  explicit version_pinner(agent_id id) : id_(std::move(id)) {}
  /// `mail.pin` is set. Answers a refusal itself.
  void pin(const services& s, const agent::state& state, agent_mail& mail);

private:
  const recipe* recipe_of(const services& s, const agent::state& state, std::int64_t version);

  agent_id id_;
  std::map<std::int64_t, recipe> recipes_; // Of versions that can run, which are immutable.
};

} // namespace runledger
