#pragma once

#include "events/result.hpp"

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <string>
#include <system_error>

/// A SQLite file and its write-ahead log, seen from outside: what a look at both tells about what
/// other processes do with them. Nothing here opens a file for writing, takes a lock or opens the
/// shared memory (closing that would drop the locks of this very process).
namespace runledger {

/// The pair at one moment. The log's header changes whenever the log is begun anew (SQLite's file
/// format, "The Write-Ahead Log": checkpoint sequence number and salts).
struct file_pair {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  timespec changed{};                        ///< Of the file's contents.
  std::array<unsigned char, 32> header = {}; ///< Of the log.
  bool has_frames = false;                   ///< The log may hold what the file does not.
};

/// An error if the file is not there or cannot be read; a log that is not there is an empty one.
result<file_pair, std::error_code> look_at_pair(const std::string& path);

/// True if both looks saw the same file, and between them the log was not begun anew, and a file
/// without a log was not written.
bool same_history(const file_pair& before, const file_pair& after);

/// True if the file itself was not written between the two looks.
bool same_contents(const file_pair& before, const file_pair& after);

/// True if the file was last written so long ago that its time of change tells every later write
/// from that one (file systems count in ticks of up to 10 ms).
bool has_settled(const file_pair& seen);

/// True if some process has the file open in WAL mode: it holds the lock that SQLite keeps on the
/// shared memory for that, and this process may write there too. False where the kernel does not
/// tell (/proc/locks), as about processes of other containers.
bool in_use_here(const std::string& path);

} // namespace runledger
