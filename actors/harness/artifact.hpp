#pragma once

#include "events/digest.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

/// Taking over a file that a harness names. Everything here blocks on the file system: call it from
/// an I/O context, not from an actor on the shared scheduler or from a sink.
namespace runledger::harness {

/// An open regular file of a work folder; closes itself.
class artifact_file {
public:
  artifact_file(int fd, std::uint64_t size) : fd_(fd), size_(size) {}
  artifact_file(artifact_file&& other) noexcept;
  artifact_file& operator=(artifact_file&& other) noexcept;
  ~artifact_file();

  int fd() const { return fd_; }
  /// In bytes, when it was opened: the harness may still write to it.
  std::uint64_t size() const { return size_; }

private:
  int fd_;
  std::uint64_t size_;
};

/// Why a path is not taken over; all end as `artifact_refused`.
struct artifact_refusal {
  std::string message; // One sentence, with the path.
};

/// Opens `path` below `work_dir` for reading. Refused: what leaves the folder, passes a link of any
/// kind, is no regular file (FIFO, device, folder, socket) or is larger than max_bytes. Hard links
/// are taken: they lie on the same mount, and their content is what the harness could read anyway.
/// An absolute path is taken if it begins with `work_dir`.
result<artifact_file, artifact_refusal>
take_artifact(const std::string& work_dir, std::string_view path, std::uint64_t max_bytes);

struct copied_artifact {
  runledger::digest sha256;
  std::uint64_t size = 0;
};

/// Streams the content through `write` (returns false to stop) from the start of the file and
/// hashes it. Refused if it grew beyond max_bytes meanwhile, or on a read or write error. What was
/// copied is what was hashed.
result<copied_artifact, artifact_refusal>
copy_artifact(const artifact_file& file, std::uint64_t max_bytes,
              const std::function<bool(std::string_view)>& write);

/// Writes a file below the work folder, with the folders on its way; what stands there under that
/// name is replaced, never followed. For the blobs that a frame names.
result<bool, artifact_refusal> store_work_file(const std::string& work_dir, const std::string& path,
                                               std::string_view content);

} // namespace runledger::harness
