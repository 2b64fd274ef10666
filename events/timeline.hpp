#pragma once

#include "events/codec.hpp"
#include "events/envelope.hpp"
#include "events/fields.hpp"

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

/// A session's timeline: a fold over its own and its runs' events in the order of their partition.
/// An event's item depends on the event alone; its `seq` is its place, counted from 1 (so it is the
/// same everywhere, for good).
namespace runledger {

/// What the timeline shows of one event.
struct timeline_item {
  std::string type; ///< `user_message`, `run_status`, ...; `unreadable` for a damaged event that
                    ///< has a place.
  run_id run;
  std::string data; ///< A JSON object, without the members that stand in `blobs`.
  std::vector<std::pair<std::string, blob_ref>>
      blobs; ///< Members of data that are in the blob store.
};

enum class timeline_verdict : std::uint8_t {
  no_place, ///< The event takes no seq.
  item,
  damaged, ///< Takes a seq and shows as `unreadable`; the entity's other views and its actor are
           ///< parked.
  unknown, ///< A type or version of a newer binary: the timeline is parked whole until one reads
           ///< it.
};

/// Whether an event of this type takes a seq: by its type alone.
timeline_verdict place_of(const record& r);

/// The item of an event with a place (place_of gave `item` or `damaged`).
timeline_item item_of(const record& r);

/// `{"id","seq","type","run_id","time","data"}`. `load` gives the JSON of a blob, or nothing (the
/// member is then left out).
using blob_loader = std::function<std::optional<std::string>(const blob_ref&)>;
void append_item_json(std::string& out, const record& r, const timeline_item& item,
                      std::uint64_t seq, const blob_loader& load);

/// The session that an event belongs to, by its partition key; nothing if its stream is neither a
/// session nor a run.
std::optional<session_id> session_of(const envelope& e);

} // namespace runledger
