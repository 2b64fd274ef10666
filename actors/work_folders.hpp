#pragma once

#include "events/ids.hpp"
#include "events/result.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace runledger {

/// The private folders of runs, `DATA/work/<agent>-<version>/<run>`. A folder that a pooled run
/// leaves empty is kept and renamed for the next run of that pool: on ext4 a new folder costs up to
/// a millisecond while others have been removed in the last seconds (the inode allocator passes
/// over those), a rename some microseconds. It never changes to another pool, nor between runs with
/// processes of their own: who has it open still could go on in it. Actors' thread only.
class work_folders {
public:
  /// `root` is DATA/work. `remove` gets the path of a folder that is to be removed with all that is
  /// in it; it may take its time.
  work_folders(std::string root, std::function<void(std::string)> remove);

  /// The folder that holds the folders of an agent version's runs: a pooled process sees all of it.
  std::string of_version(const agent_id& agent, std::int64_t version) const {
    return root_ + '/' + agent.value + '-' + std::to_string(version);
  }
  std::string of_run(const agent_id& agent, std::int64_t version, const run_id& run) const {
    return of_version(agent, version) + '/' + run.value;
  }

  /// Who works in a folder.
  enum class user : bool {
    own_process,
    pool,
  };
  /// Makes the run's folder exist as an empty one (0700), or leaves it as it is if it exists. Its
  /// parent is made too. The error says in one sentence why it does not exist now.
  result<void, std::string> provide(const std::string& path, user by);
  /// The run at `path` has ended.
  void give_back(const std::string& path, user by);

  /// At the start: this run is unfinished, so its folder stays.
  void keep(const run_id& run) { left_.erase(run.value); }
  /// All unfinished runs have been kept: what else an earlier server left is removed.
  void remove_left();

private:
  static constexpr std::size_t spares_max = 4096;
  bool reuse_for(const std::string& path, const std::string& parent);

  std::string root_;
  std::function<void(std::string)> remove_;
  std::unordered_map<std::string, std::vector<std::string>> spares_; // By parent.
  std::size_t spare_count_ = 0;
  std::map<std::string, std::string> left_; // Run -> path, as found at the start.
};

} // namespace runledger
