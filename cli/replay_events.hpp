#pragma once

#include "cli/offline_ledger.hpp"
#include "projections/replay/history.hpp"

namespace runledger::cli {

/// The events that `replay show` prints for a stream: a session's with those of its runs, a run's
/// behind the one that accepted it, any other stream's own.
result<void, read_error> each_event_of(const offline_ledger& ledger, const stream_id& stream,
                                       const replay::event_taker& take);

} // namespace runledger::cli
