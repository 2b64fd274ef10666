#include "projections/queries/artifacts.hpp"

#include "projections/reader_internals.hpp"

namespace runledger::views {

namespace {

#define RUNLEDGER_ARTIFACT_SELECT                                                                  \
  "SELECT a.at, a.id, r.id, a.workspace, a.name, a.media_type, a.size_bytes, a.content, "          \
  "a.created_ms FROM artifacts a JOIN runs r ON r.at = a.run "

void read_artifact(const query& q, artifact_row& a) {
  q.values().all(a.at, a.id, a.run, a.workspace, a.name, a.media_type, a.size_bytes, a.content,
                 a.created_at);
}

} // namespace

answer<page<artifact_row>> list_artifacts(view_reader& reader, const run_row& run,
                                          std::size_t limit,
                                          const std::optional<list_cursor>& after) {
  return ask<page<artifact_row>>(reader, [&](auto& in) {
    // Within a run the order of the ledger is the order of time.
    auto& q = in.use(RUNLEDGER_ARTIFACT_SELECT "WHERE a.run = ? AND a.at < ? "
                                               "ORDER BY a.at DESC LIMIT ?");
    page<artifact_row> out;
    finished end{q};
    for (q.with(run.at, after.value_or(from_the_newest).at, limit + 1); q.row();)
      read_artifact(q, out.items.emplace_back());
    cut(out, limit, [](const artifact_row& a) {
      return list_cursor{to_ms(a.created_at), static_cast<std::int64_t>(a.at)};
    });
    return out;
  });
}

answer<std::optional<artifact_row>>
artifact_by_id(view_reader& reader, const workspace_id& workspace, std::string_view id) {
  return ask<std::optional<artifact_row>>(reader, [&](auto& in) -> std::optional<artifact_row> {
    auto& q = in.use(RUNLEDGER_ARTIFACT_SELECT "WHERE a.id = ? ORDER BY a.at LIMIT 1");
    finished end{q};
    if (!q.with(id).row())
      return std::nullopt;
    artifact_row out;
    read_artifact(q, out);
    return out.workspace == workspace ? std::optional{std::move(out)} : std::nullopt;
  });
}

} // namespace runledger::views

#undef RUNLEDGER_ARTIFACT_SELECT
