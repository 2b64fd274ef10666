#pragma once

#include "events/log/event_log.hpp"

#include <chrono>

namespace runledger {

/// Appends one request and blocks until the log has answered: `unknown` if it did not in time. For
/// the start, before anything else is appended.
append_result append_and_wait(event_log& log, append_request request,
                              std::chrono::milliseconds patience);

} // namespace runledger
