#include "projections/queries/list_sessions.hpp"

#include "projections/queries/session_runs.hpp"

namespace runledger::views {

namespace {

std::string statement_of(const session_filter& f) {
  std::string sql = RUNLEDGER_SESSION_SELECT
      "WHERE s.workspace = ?1 AND (s.created_ms, s.at) < (?2, ?3) AND s.parked = 0 ";
  if (!f.agent_id.empty())
    sql += "AND s.agent_id = ?5 ";
  if (!f.status.empty())
    sql += "AND s.phase = ?6 ";
  return sql + "ORDER BY s.created_ms DESC, s.at DESC LIMIT ?4";
}

session::phase phase_of(std::string_view status) {
  for (auto p : {session::phase::active, session::phase::cancelling, session::phase::terminated})
    if (session::to_string(p) == status)
      return p;
  return session::phase::absent; // Which no session in the table has.
}

} // namespace

answer<page<session_view>> list_sessions(view_reader& reader, const workspace_id& workspace,
                                         const session_filter& f) {
  return ask<page<session_view>>(reader, [&](auto& in) {
    auto& q = in.use(statement_of(f));
    auto after = f.after.value_or(from_the_newest);
    page<session_view> out;
    // One transaction for all statements, so that sessions and their runs are of one commit.
    snapshot same{in};
    q.with(workspace, after.created_ms, after.at, f.limit + 1, f.agent_id, phase_of(f.status));
    while (q.row())
      read_session(q, out.items.emplace_back().session);
    cut(out, f.limit, [](const session_view& v) {
      return list_cursor{to_ms(v.session.created_at), static_cast<std::int64_t>(v.session.at)};
    });
    for (auto& item : out.items)
      item.runs = runs_of(in, item.session.at);
    return out;
  });
}

} // namespace runledger::views
