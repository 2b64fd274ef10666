#pragma once

#include "events/ids.hpp"
#include "events/log/event_log.hpp"
#include "events/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

/// Reading the ledger itself, without views: what replay and the API's `as_of` stand on. Any
/// thread; nothing is kept between calls.
namespace runledger::replay {

/// Read at once where whole partitions are read.
inline constexpr std::size_t ledger_page_events = 4096;

/// Takes events one by one; false: no more of this event's stream.
using event_taker = std::function<bool(const record_ptr&)>;

/// Hands over the sound events of a stream from `from_seq` on, in their order, with their chain
/// checked. At a damaged event it ends with that event's place, after all events before it.
result<void, read_error> each_event(const event_log& log, const stream_id& stream,
                                    std::uint64_t from_seq, const event_taker& take);

/// Told of a damaged event when its turn comes: true goes on with the other streams.
using damage_taker = std::function<bool(const read_error&)>;

/// Hands over the events of a session and of the runs whose acceptance was taken, in the order of
/// their partition. A damaged event ends its stream and, without `damaged`, the walk.
result<void, read_error> each_session_event(const event_log& log, const session_id& session,
                                            const event_taker& take,
                                            const damage_taker& damaged = {});

/// The session of a run, as the ledger's streams tell: the partition key of the run's own events
/// or, before its first one, an unfinished session whose id begins like the run's
/// (docs/decisions/0003). Nothing: no session has accepted such a run.
result<std::optional<session_id>, read_error> session_of_run(const event_log& log,
                                                             const run_id& run);

/// The event that accepted a run.
result<record_ptr, read_error> acceptance_of(const event_log& log, const session_id& session,
                                             const run_id& run); // nullptr: none.

} // namespace runledger::replay
