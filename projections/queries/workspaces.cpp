#include "projections/queries/workspaces.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

answer<page<workspace_row>> list_workspaces(view_reader& reader, std::size_t limit,
                                            const std::optional<list_cursor>& after) {
  return ask<page<workspace_row>>(reader, [&](auto& in) {
    auto& q = in.use("SELECT at, id, name, created_ms FROM workspaces WHERE (created_ms, at) < "
                     "(?, ?) ORDER BY created_ms DESC, at DESC LIMIT ?");
    auto from = after.value_or(from_the_newest);
    page<workspace_row> out;
    finished end{q};
    for (q.with(from.created_ms, from.at, limit + 1); q.row();) {
      auto& w = out.items.emplace_back();
      q.values().all(w.at, w.id, w.name, w.created_at);
    }
    cut(out, limit, [](const workspace_row& w) {
      return list_cursor{to_ms(w.created_at), static_cast<std::int64_t>(w.at)};
    });
    return out;
  });
}

answer<std::optional<workspace_row>> workspace_by_id(view_reader& reader, std::string_view id) {
  return ask<std::optional<workspace_row>>(reader, [&](auto& in) -> std::optional<workspace_row> {
    auto& q = in.use("SELECT at, id, name, created_ms FROM workspaces WHERE id = ? "
                     "ORDER BY at LIMIT 1");
    finished end{q};
    if (!q.with(id).row())
      return std::nullopt;
    workspace_row w;
    q.values().all(w.at, w.id, w.name, w.created_at);
    return w;
  });
}

} // namespace runledger::views
