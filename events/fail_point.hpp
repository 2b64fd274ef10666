#pragma once

namespace runledger {

/// A named place at which a crash test may kill the process. RUNLEDGER_FAIL_POINT=name[:nth] in the
/// environment (read once, at the first call) makes the nth call of that name (default 1) end the
/// process with SIGKILL; without it a call costs one branch. Any thread.
void fail_point(const char* name);

} // namespace runledger
