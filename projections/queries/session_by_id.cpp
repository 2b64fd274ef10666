#include "projections/queries/session_by_id.hpp"

#include "projections/queries/session_runs.hpp"

namespace runledger::views {

std::vector<session_run> runs_of(view_reader::internals& in, place session) {
  auto& q = in.use("SELECT id, phase, created_ms, finished_ms FROM runs WHERE session = ? "
                   "ORDER BY turn");
  finished end{q};
  std::vector<session_run> out;
  for (q.with(session); q.row();) {
    auto& r = out.emplace_back();
    q.values().all(r.id, r.phase, r.created_at, r.finished_at);
  }
  return out;
}

answer<std::optional<session_view>>
session_by_id(view_reader& reader, const workspace_id& workspace, std::string_view id) {
  return ask<std::optional<session_view>>(reader, [&](auto& in) -> std::optional<session_view> {
    auto& q = in.use(RUNLEDGER_SESSION_SELECT "WHERE s.id = ? ORDER BY s.at LIMIT 1");
    session_view out;
    finished end{q}; // Until then all statements see the same commit.
    if (!q.with(id).row())
      return std::nullopt;
    read_session(q, out.session);
    if (out.session.workspace != workspace)
      return std::nullopt;
    if (out.session.parked)
      in.refuse_parked("sessions", out.session.id.value);
    out.runs = runs_of(in, out.session.at);
    return out;
  });
}

} // namespace runledger::views
