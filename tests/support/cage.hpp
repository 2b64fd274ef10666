#pragma once

#include <string>
#include <vector>

/// Runs a program so that it cannot have effects: what a read-only tool must not do kills it.
namespace runledger::test {

/// How the rules are kept, and so what a program that ends by itself has proven:
///
/// - A seccomp filter kills with SIGSYS, whatever the program does about errors: sockets of every
///   kind, execve, child processes, io_uring (which would do all of that unseen), names made,
///   changed or removed, rights, owners, times and attributes changed, mounts. The one execveat
///   that starts the program is told by its file descriptor, which the kernel closes meanwhile.
/// - Without `writable`: it kills also at an open for writing or creating, at a truncation, and at
///   a write to anything but stdout and stderr. Nothing is left by which a file could change.
/// - With `writable`: seccomp cannot see paths, so Landlock refuses (with an error, not a signal)
///   every change outside of that folder; names made and removed in it are allowed. Rights, owners,
///   times and attributes, which Landlock does not know, still kill, but for chmod, fchmod and
///   fchown, with which a copy and SQLite finish a file of their own: these are not made, whatever
///   the file, and the program hears that they were.
struct cage {
  std::string writable; ///< A folder; empty: none.
};

struct caged_end {
  int signal = 0;     ///< That ended it; 0: none. SIGSYS: it broke a rule.
  int exit_code = -1; ///< Without a signal.
  std::string out, error;
};

/// True if this kernel has Landlock: `writable` needs it.
bool has_landlock();

/// Runs `words` (the first is the program's path) with `environment` (NAME=value) alone. Throws
/// std::runtime_error where the cage cannot be built.
caged_end run_in_cage(const cage& rules, std::vector<std::string> words,
                      std::vector<std::string> environment);

} // namespace runledger::test
