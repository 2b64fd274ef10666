#pragma once

#include "events/log/event_log.hpp"

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace runledger {

/// Appends one request and blocks until the log has answered: `unknown` if it did not in time. For
/// the start, before anything else is appended.
append_result append_and_wait(event_log& log, append_request request,
                              std::chrono::milliseconds patience);
/// The same for a group: one result a request.
std::vector<append_result> append_group_and_wait(event_log& log, std::vector<append_request> group,
                                                 std::chrono::milliseconds patience);

/// The answers to a group of `count` requests none of which was judged.
inline std::vector<append_result> alike(std::size_t count, append_outcome outcome,
                                        const std::string& detail) {
  return std::vector<append_result>(count, {outcome, verdict::accepted, detail});
}

} // namespace runledger
