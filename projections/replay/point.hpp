#pragma once

#include "events/log/event_log.hpp"
#include "events/result.hpp"
#include "events/time.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace runledger::replay {

/// A point in the past, as it is asked for: `?as_of=`, `replay at`, `replay diff`.
struct point {
  enum class kind : std::uint8_t {
    seq,    ///< `seq:12` or `12`: behind that event of the entity's own stream.
    offset, ///< `offset:123`: behind that place of the entity's partition.
    time,   ///< RFC 3339: of each stream the longest prefix whose times are not after it.
  } what = kind::seq;
  std::int64_t number = 0; ///< With seq and offset. Never negative.
  timestamp time{};
};

/// Nothing for a text that names no point.
std::optional<point> parse_point(std::string_view text);
/// As people write it: parse_point() of it gives the same.
std::string to_text(const point& p);

/// Which events had happened at a point. A seq is turned into the offset of that event, so that
/// what an entity shows of its neighbours is of the same moment.
class reach {
public:
  /// Everything.
  reach() = default;
  /// `own`: the stream that a seq counts in; seq 0 is before its first event. A point behind the
  /// end reaches everything.
  static result<reach, read_error> of(const point& p, const event_log& log, const stream_id& own);

  bool holds(const record& r) const {
    return r.offset <= offset_ && (!time_ || r.event.time <= *time_);
  }
  /// True if an event whose offset alone is known cannot be within reach.
  bool ends_before(std::int64_t offset) const { return offset > offset_; }

private:
  std::int64_t offset_ = INT64_MAX;
  std::optional<timestamp> time_;
};

} // namespace runledger::replay
