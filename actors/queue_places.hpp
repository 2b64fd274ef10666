#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>

namespace runledger {

/// The runs that wait, by workspace, against the bound `runs.max_queued`. A run has a place from
/// the moment in which its request is taken until it gets a worker or ends; a run that waits for
/// another attempt has one as well. The directory, through which all of this passes, holds it.
class queue_places {
public:
  explicit queue_places(std::size_t max_per_workspace) : max_(max_per_workspace) {}

  /// Takes a place for a request that may be accepted; give_back() or leave() follows. False: none
  /// is left. Requests for one run (the same key, twice at once) share its place.
  [[nodiscard]] bool take(const std::string& workspace, const std::string& run,
                          std::uint32_t partition = 0);
  /// The request was not accepted, or was known before.
  void give_back(const std::string& workspace, const std::string& run);
  /// The run waits whatever the bound: it was accepted already. Saying so again changes nothing.
  void wait(const std::string& workspace, const std::string& run, std::uint32_t partition = 0);
  /// It got a worker, or will never want one.
  void leave(const std::string& workspace, const std::string& run);
  /// The partition went to another process, and its runs with it.
  void leave_partition(std::uint32_t partition);

  /// Whether nothing new is taken.
  bool full(const std::string& workspace) const;
  bool holds(const std::string& workspace, const std::string& run) const;
  /// Of all workspaces.
  std::size_t size() const { return size_; }

private:
  struct place {
    std::size_t asking = 0; ///< Requests, those that were accepted included.
    bool waits = false;
    std::uint32_t partition = 0; ///< Of the run.
  };
  using places = std::unordered_map<std::string, place>;

  void erase(places& of_workspace, const std::string& workspace, places::iterator at);

  std::size_t max_;
  std::size_t size_ = 0;
  std::unordered_map<std::string, places> workspaces_;
};

} // namespace runledger
