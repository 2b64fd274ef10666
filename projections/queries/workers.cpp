#include "projections/queries/workers.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

answer<page<worker_row>> list_workers(view_reader& reader, const workspace_id& workspace,
                                      std::size_t limit, const std::optional<list_cursor>& after) {
  return ask<page<worker_row>>(reader, [&](auto& in) {
    auto& q = in.use(
        "SELECT w.at, w.id, w.node, w.slot, w.busy, coalesce(a.id, ''), "
        "CASE WHEN a.id IS NULL THEN 0 ELSE w.agent_version END, w.layers, w.last_reason, "
        "w.registered_ms, w.changed_ms, w.parked, w.queue, w.name, w.slots, w.leases, w.gone "
        "FROM workers w LEFT JOIN agents a ON a.id = w.agent_id AND a.workspace = ?1 "
        "WHERE w.workspace IN ('', ?1) AND (w.registered_ms, w.at) < (?2, ?3) "
        "ORDER BY w.registered_ms DESC, w.at DESC LIMIT ?4");
    auto from = after.value_or(from_the_newest);
    page<worker_row> out;
    finished end{q};
    for (q.with(workspace, from.created_ms, from.at, limit + 1); q.row();) {
      auto& w = out.items.emplace_back();
      q.values().all(w.at, w.id, w.node, w.slot, w.busy, w.agent, w.agent_version, w.layers,
                     w.last_reason, w.registered_at, w.changed_at, w.parked, w.queue, w.name,
                     w.slots, w.leases, w.gone);
    }
    cut(out, limit, [](const worker_row& w) {
      return list_cursor{to_ms(w.registered_at), static_cast<std::int64_t>(w.at)};
    });
    return out;
  });
}

} // namespace runledger::views
