#include "actors/queue_places.hpp"

namespace runledger {

bool queue_places::take(const std::string& workspace, const std::string& run,
                        std::uint32_t partition) {
  auto& waiting = workspaces_[workspace];
  if (auto known = waiting.find(run); known != waiting.end()) {
    ++known->second.asking;
    return true;
  }
  if (waiting.size() >= max_) {
    if (waiting.empty())
      workspaces_.erase(workspace);
    return false;
  }
  waiting.emplace(run, place{1, false, partition});
  ++size_;
  return true;
}

void queue_places::give_back(const std::string& workspace, const std::string& run) {
  auto found = workspaces_.find(workspace);
  if (found == workspaces_.end())
    return;
  auto known = found->second.find(run);
  if (known == found->second.end())
    return; // It got a worker meanwhile: the request was another one's repetition.
  if (known->second.asking > 0)
    --known->second.asking;
  if (known->second.asking == 0 && !known->second.waits)
    erase(found->second, workspace, known);
}

void queue_places::wait(const std::string& workspace, const std::string& run,
                        std::uint32_t partition) {
  auto [at, fresh] = workspaces_[workspace].try_emplace(run);
  at->second.waits = true;
  at->second.partition = partition;
  if (fresh)
    ++size_;
}

void queue_places::leave(const std::string& workspace, const std::string& run) {
  auto found = workspaces_.find(workspace);
  if (found == workspaces_.end())
    return;
  if (auto known = found->second.find(run); known != found->second.end())
    erase(found->second, workspace, known);
}

void queue_places::leave_partition(std::uint32_t partition) {
  for (auto& [name, waiting] : workspaces_)
    size_ -=
        std::erase_if(waiting, [&](const auto& one) { return one.second.partition == partition; });
  std::erase_if(workspaces_, [](const auto& one) { return one.second.empty(); });
}

bool queue_places::full(const std::string& workspace) const {
  auto found = workspaces_.find(workspace);
  return (found == workspaces_.end() ? 0 : found->second.size()) >= max_;
}

bool queue_places::holds(const std::string& workspace, const std::string& run) const {
  auto found = workspaces_.find(workspace);
  return found != workspaces_.end() && found->second.contains(run);
}

void queue_places::erase(places& of_workspace, const std::string& workspace, places::iterator at) {
  of_workspace.erase(at);
  --size_;
  if (of_workspace.empty())
    workspaces_.erase(workspace);
}

} // namespace runledger
