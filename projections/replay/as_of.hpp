#pragma once

#include "events/log/blob_store.hpp"
#include "projections/replay/point.hpp"
#include "projections/rows.hpp"

#include <optional>

/// What an entity was at a point in the past, folded from its events with the folds that actors and
/// views use. At the ledger's end the rows render to the very bytes that the live views give. No
/// views are needed; the cost is that of reading the entity's events up to the point.
namespace runledger::replay {

/// An object as it was, and the last event that made it so.
template <class Row>
struct as_of {
  Row row;
  record_ptr last;
  bool content_missing = false; ///< There is no blob store, and a content stands in one: null here.
};
/// Nothing: it did not exist then (or never did). An error: the ledger cannot be read, or is
/// damaged within reach, with the place.
template <class Row>
using answer = result<std::optional<as_of<Row>>, read_error>;

/// Where events and the contents beside them come from. Without `blobs` contents over 256 KiB are
/// left out; with it one that is not there is an error, as it is to readers of the views.
struct sources {
  const event_log& log;
  const blob_store* blobs = nullptr;
};

/// A run between its acceptance and its own first event is pending; before that it is not there.
answer<views::run_row> run_as_of(const sources& from, const run_id& run, const point& when);
answer<views::session_view> session_as_of(const sources& from, const session_id& session,
                                          const point& when);
answer<views::worker_row> worker_as_of(const sources& from, const worker_id& worker,
                                       const point& when);

/// A run's state and the last event in it. `damage`: the event that stopped the fold.
struct folded_run {
  run::state state;
  record_ptr last;
  std::optional<read_error> damage;
};
/// The fold of a run's own events within reach. An error only where the ledger cannot be read.
result<folded_run, read_error> fold_run(const event_log& log, const run_id& run,
                                        const reach& within);

} // namespace runledger::replay
