#pragma once

#include "actors/harness/fd.hpp"

#include <cstdint>
#include <dirent.h>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace runledger::harness {

/// Sums up the space of folders in small portions, so that the thread that moves all bytes never
/// waits for a large tree. Links are not followed; what vanishes meanwhile is not counted. An entry
/// counts at least one block of 512 bytes; a tree too deep or too wide to be walked counts as
/// endless.
class disk_usage {
public:
  explicit disk_usage(std::vector<std::string> folders);

  /// Looks at up to `entries` entries. The sum in bytes once everything was seen, else nothing.
  std::optional<std::uint64_t> advance(int entries);

private:
  struct close_folder {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  bool open_next();
  void look_at(const dirent& entry);

  std::vector<std::string> roots_;
  unique_fd root_;
  std::vector<std::string> pending_; // Relative to root_.
  std::unique_ptr<DIR, close_folder> folder_;
  std::string path_; // Of folder_, relative to root_.
  std::uint64_t bytes_ = 0;
};

} // namespace runledger::harness
