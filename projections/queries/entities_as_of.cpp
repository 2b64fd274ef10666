#include "projections/queries/entities_as_of.hpp"

#include "projections/reader_internals.hpp"
#include "projections/replay/as_of.hpp"

namespace runledger::views {

namespace {

const workspace_id& workspace_of(const run_row& row) {
  return row.workspace;
}
const workspace_id& workspace_of(const session_view& view) {
  return view.session.workspace;
}

/// What belongs to another workspace is not there.
template <class Row>
answer<std::optional<Row>> seen_from(const workspace_id& workspace, replay::answer<Row> found) {
  if (!found)
    return found.error();
  if (!*found || workspace_of((*found)->row) != workspace)
    return std::optional<Row>{};
  return std::optional<Row>{std::move((*found)->row)};
}

} // namespace

answer<std::optional<run_row>> run_as_of(view_reader& reader, const workspace_id& workspace,
                                         const run_id& id, const replay::point& when) {
  const auto& in = reader.inside();
  return seen_from(workspace, replay::run_as_of({in.log, in.blobs}, id, when));
}

answer<std::optional<session_view>> session_as_of(view_reader& reader,
                                                  const workspace_id& workspace,
                                                  const session_id& id, const replay::point& when) {
  const auto& in = reader.inside();
  return seen_from(workspace, replay::session_as_of({in.log, in.blobs}, id, when));
}

} // namespace runledger::views
