#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// Sums over runs. Money and counts are exact integers.
struct analytics_numbers {
  std::int64_t runs = 0, succeeded = 0, failed = 0, cancelled = 0;
  micro_usd cost{0};
  std::int64_t tokens_in = 0, tokens_out = 0;
  std::int64_t duration_ms = 0; ///< From started_at to finished_at of the runs that ended.
  std::optional<timestamp> last_run_at;
};

struct agent_analytics_row {
  agent_id agent;
  std::string agent_slug;
  analytics_numbers numbers;
};

struct analytics {
  timestamp start{}, end{};
  std::vector<agent_analytics_row> agents; ///< By id.
  analytics_numbers total;
};

/// Runs of a workspace that were created in [start, end), per agent and together.
answer<analytics> agent_analytics(view_reader& reader, const workspace_id& workspace,
                                  timestamp start, timestamp end);

} // namespace runledger::views
