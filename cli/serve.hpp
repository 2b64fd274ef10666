#pragma once

#include "cli/settings.hpp"

namespace runledger {

/// Runs the server until SIGTERM or SIGINT has drained it. 0: ended as asked. 2: it could not start
/// (the reason is on stderr). 1: it had to stop by itself, such as after a failed fsync. Call it
/// once, from the main thread.
int serve(const settings& with);

} // namespace runledger
