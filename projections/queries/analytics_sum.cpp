#include "projections/queries/analytics_sum.hpp"

#include "projections/saturating.hpp"

#include <algorithm>
#include <utility>

namespace runledger::views {

namespace {

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

void analytics_sum::add(const agent_id& agent, const std::string& slug, const run_numbers& run) {
  analytics_numbers one;
  one.runs = 1;
  one.succeeded = run.phase == run::phase::succeeded;
  one.failed = run.phase == run::phase::failed;
  one.cancelled = run.phase == run::phase::cancelled;
  one.cost = run.cost;
  one.tokens_in = run.tokens_in;
  one.tokens_out = run.tokens_out;
  one.last_run_at = run.created_at;
  if (run.started_at && run.finished_at)
    one.duration_ms = (*run.finished_at - *run.started_at).count();
  auto& row = agents_.try_emplace(agent.value, agent_analytics_row{agent, slug, {}}).first->second;
  views::add(row.numbers, one);
  views::add(total_, one);
}

analytics analytics_sum::finish(timestamp start, timestamp end) {
  analytics out{start, end, {}, std::exchange(total_, {})};
  for (auto& [id, row] : agents_)
    out.agents.push_back(std::move(row));
  agents_.clear();
  std::ranges::sort(out.agents, {}, &agent_analytics_row::agent);
  return out;
}

} // namespace runledger::views
