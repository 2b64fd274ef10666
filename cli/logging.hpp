#pragma once

#include "cli/settings.hpp"

namespace runledger::cli {

/// Sends what the server logs to stderr: for people, or one JSON object a line with `time`,
/// `level`, `message`. Call it once, before the first thread.
void start_logging(log_level least, log_format format);

} // namespace runledger::cli
