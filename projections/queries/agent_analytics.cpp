#include "projections/queries/agent_analytics.hpp"

#include "projections/reader_internals.hpp"

#include <algorithm>

namespace runledger::views {

namespace {

void add_up(std::int64_t& sum, std::int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum))
    sum = INT64_MAX;
}

void add(analytics_numbers& sum, const analytics_numbers& more) {
  sum.runs += more.runs;
  sum.succeeded += more.succeeded;
  sum.failed += more.failed;
  sum.cancelled += more.cancelled;
  sum.cost += more.cost;
  add_up(sum.tokens_in, more.tokens_in);
  add_up(sum.tokens_out, more.tokens_out);
  add_up(sum.duration_ms, more.duration_ms);
  if (more.last_run_at)
    sum.last_run_at = std::max(sum.last_run_at.value_or(*more.last_run_at), *more.last_run_at);
}

} // namespace

answer<analytics> agent_analytics(view_reader& reader, const workspace_id& workspace,
                                  timestamp start, timestamp end) {
  return ask<analytics>(reader, [&](auto& in) {
    // Summed here and not by SQLite, whose sum() fails where these sums stay at the end of their
    // range.
    auto& q = in.use("SELECT r.agent_id, s.agent_slug, r.phase, r.cost_micro_usd, r.tokens_in, "
                     "r.tokens_out, r.created_ms, r.started_ms, r.finished_ms "
                     "FROM runs r JOIN sessions s ON s.at = r.session "
                     "WHERE r.workspace = ? AND r.created_ms >= ? AND r.created_ms < ?");
    analytics out{start, end, {}, {}};
    std::unordered_map<std::string, agent_analytics_row> agents;
    finished done{q};
    for (q.with(workspace, start, end); q.row();) {
      agent_id id;
      std::string slug;
      run::phase phase{};
      analytics_numbers one;
      timestamp created{};
      std::optional<timestamp> started, finished_at;
      q.values().all(id, slug, phase, one.cost, one.tokens_in, one.tokens_out, created, started,
                     finished_at);
      one.runs = 1;
      one.succeeded = phase == run::phase::succeeded;
      one.failed = phase == run::phase::failed;
      one.cancelled = phase == run::phase::cancelled;
      one.last_run_at = created;
      if (started && finished_at)
        one.duration_ms = (*finished_at - *started).count();
      auto& row = agents.try_emplace(id.value, agent_analytics_row{id, slug, {}}).first->second;
      add(row.numbers, one);
      add(out.total, one);
    }
    for (auto& [id, row] : agents)
      out.agents.push_back(std::move(row));
    std::ranges::sort(out.agents, {}, &agent_analytics_row::agent);
    return out;
  });
}

} // namespace runledger::views
