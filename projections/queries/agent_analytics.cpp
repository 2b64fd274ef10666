#include "projections/queries/agent_analytics.hpp"

#include "projections/queries/analytics_sum.hpp"
#include "projections/reader_internals.hpp"

namespace runledger::views {

answer<analytics> agent_analytics(view_reader& reader, const workspace_id& workspace,
                                  timestamp start, timestamp end) {
  return ask<analytics>(reader, [&](auto& in) {
    // Summed here and not by SQLite, whose sum() fails where these sums stay at the end of their
    // range.
    auto& q = in.use("SELECT r.agent_id, s.agent_slug, r.phase, r.cost_micro_usd, r.tokens_in, "
                     "r.tokens_out, r.created_ms, r.started_ms, r.finished_ms "
                     "FROM runs r JOIN sessions s ON s.at = r.session "
                     "WHERE r.workspace = ? AND r.created_ms >= ? AND r.created_ms < ?");
    analytics_sum sum;
    finished done{q};
    for (q.with(workspace, start, end); q.row();) {
      agent_id agent;
      std::string slug;
      run_numbers run;
      q.values().all(agent, slug, run.phase, run.cost, run.tokens_in, run.tokens_out,
                     run.created_at, run.started_at, run.finished_at);
      sum.add(agent, slug, run);
    }
    return sum.finish(start, end);
  });
}

} // namespace runledger::views
