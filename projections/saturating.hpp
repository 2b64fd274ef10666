#pragma once

#include <cstdint>

namespace runledger {

/// Adds; sums of numbers that came from outside stay at the ends of their range.
inline void add_up(std::int64_t& sum, std::int64_t more) {
  if (__builtin_add_overflow(sum, more, &sum))
    sum = more > 0 ? INT64_MAX : INT64_MIN;
}

} // namespace runledger
