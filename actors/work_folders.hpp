#pragma once

#include "events/ids.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace runledger {

/// The private folders of runs. A folder that a run leaves empty is kept and renamed for the next
/// one: on ext4 a new folder costs up to a millisecond while others have been removed in the last
/// seconds (the inode allocator passes over those), a rename some microseconds. Actors' thread
/// only.
class work_folders {
public:
  /// `root` is DATA/work. `remove` gets the path of a folder that is to be removed with all that is
  /// in it; it may take its time.
  work_folders(std::string root, std::function<void(std::string)> remove);

  /// The folder that holds the folders of an agent version's runs: a pooled process sees all of it.
  std::string of_version(const agent_id& agent, std::int64_t version) const {
    return root_ + '/' + agent.value + '-' + std::to_string(version);
  }

  /// Makes `path` exist as an empty folder (0700), or leaves it as it is if it exists. Its parent
  /// is made too.
  void provide(const std::string& path);
  /// The run at `path` has ended.
  void give_back(const std::string& path);

private:
  static constexpr std::size_t spares_max = 4096;
  std::string spare_path(std::size_t number) const;

  std::string root_;
  std::function<void(std::string)> remove_;
  std::vector<std::size_t> spares_; // Their numbers.
  std::size_t next_ = 0;
};

} // namespace runledger
