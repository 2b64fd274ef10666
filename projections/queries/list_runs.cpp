#include "projections/queries/list_runs.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

namespace {

/// The condition of a status. Those with an index of their own are written as the index is.
const char* condition_of(std::string_view status) {
  if (status == "pending")
    return "AND r.phase < 3 AND r.phase = 0 ";
  if (status == "running")
    return "AND r.phase < 3 AND r.phase > 0 ";
  if (status == "succeeded")
    return "AND r.phase = 3 ";
  if (status == "failed")
    return "AND r.phase = 4 ";
  if (status == "cancelled")
    return "AND r.phase = 5 ";
  return "AND 0 "; // No run has another status.
}

/// Only the conditions that are asked for, so that the planner sees which index can lead. The
/// numbers of the parameters are fixed.
std::string statement_of(const run_filter& f) {
  std::string sql = RUNLEDGER_RUN_SELECT
      "WHERE r.workspace = ?1 AND (r.created_ms, r.at) < (?2, ?3) AND r.parked = 0 ";
  if (!f.agent_id.empty())
    sql += "AND r.agent_id = ?5 ";
  if (!f.session_id.empty())
    sql += "AND r.session = (SELECT at FROM sessions WHERE id = ?6) ";
  if (!f.trigger.empty())
    sql += "AND r.trigger = ?7 ";
  if (!f.kind.empty())
    sql += "AND r.kind = ?8 ";
  if (!f.status.empty())
    sql += condition_of(f.status);
  return sql + "ORDER BY r.created_ms DESC, r.at DESC LIMIT ?4";
}

} // namespace

answer<page<run_row>> list_runs(view_reader& reader, const workspace_id& workspace,
                                const run_filter& f) {
  return ask<page<run_row>>(reader, [&](auto& in) {
    auto& q = in.use(statement_of(f));
    auto after = f.after.value_or(from_the_newest);
    std::vector<stored_run> rows;
    {
      finished end{q};
      q.with(workspace, after.created_ms, after.at, f.limit + 1, f.agent_id, f.session_id,
             f.trigger, f.kind);
      while (q.row())
        read_run(q, rows.emplace_back());
    }
    page<run_row> out;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (i < f.limit)
        in.load_contents(rows[i]);
      out.items.push_back(std::move(rows[i]));
    }
    cut(out, f.limit, [](const run_row& r) {
      return list_cursor{to_ms(r.created_at), static_cast<std::int64_t>(r.at)};
    });
    return out;
  });
}

} // namespace runledger::views
