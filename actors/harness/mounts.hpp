#pragma once

#include "actors/harness/fd.hpp"
#include "actors/harness/harness.hpp"
#include "actors/harness/start_refusal.hpp"
#include "events/result.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

/// Folders of the host inside a sandbox. An agent may be able to write next to a source, so nothing
/// that was found out about a path yesterday, or a moment ago, is worth anything: a source is
/// resolved once for each start, what it led to is held open, and what bubblewrap then mounted by
/// its path is compared with that.
namespace runledger::harness {

/// A mount whose source lies below a permitted folder.
struct checked_mount {
  unique_fd place;    // The source itself, held open (O_PATH).
  std::string source; // Where it is: no part of the path was a link.
  std::string target;
  bool writable = false;
};

/// Resolves the sources and checks them. Refused: `start_failed` (no such folder, or a path that is
/// none), `sandbox_refused` (it leads out of `roots`, or changes while it is looked at).
result<std::vector<checked_mount>, start_refusal>
check_mounts(const std::vector<mount>& mounts, const std::vector<std::string>& roots);

/// Compares what bubblewrap mounted with what was checked. `inner` is the first process of the
/// sandbox, which must have mounted all of them and still be setting up its root. Refused:
/// `sandbox_refused`.
result<bool, start_refusal> compare_mounts(pid_t inner, const std::vector<checked_mount>& mounts);

} // namespace runledger::harness
