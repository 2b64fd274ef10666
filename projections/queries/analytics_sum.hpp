#pragma once

#include "projections/queries/agent_analytics.hpp"

#include <string>
#include <unordered_map>

namespace runledger::views {

/// What one run adds to the sums.
struct run_numbers {
  run::phase phase = run::phase::absent;
  micro_usd cost{0};
  std::int64_t tokens_in = 0, tokens_out = 0;
  timestamp created_at{};
  std::optional<timestamp> started_at, finished_at;
};

/// Sums runs per agent and together.
class analytics_sum {
public:
  void add(const agent_id& agent, const std::string& slug, const run_numbers& run);
  /// The sums, by agent id. Leaves nothing behind.
  analytics finish(timestamp start, timestamp end);

private:
  std::unordered_map<std::string, agent_analytics_row> agents_;
  analytics_numbers total_;
};

} // namespace runledger::views
