#include "projections/queries/run_by_id.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

answer<std::optional<run_row>> run_by_id(view_reader& reader, const workspace_id& workspace,
                                         std::string_view id) {
  return ask<std::optional<run_row>>(reader, [&](auto& in) -> std::optional<run_row> {
    auto& q = in.use(RUNLEDGER_RUN_SELECT "WHERE r.id = ? ORDER BY r.at LIMIT 1");
    stored_run out;
    {
      finished end{q};
      if (!q.with(id).row()) {
        in.refuse_parked("runs", std::string{id});
        return std::nullopt;
      }
      read_run(q, out);
    }
    if (out.workspace != workspace)
      return std::nullopt;
    if (out.parked)
      in.refuse_parked("runs", out.id.value);
    in.load_contents(out);
    return run_row{std::move(out)};
  });
}

} // namespace runledger::views
