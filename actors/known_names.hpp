#pragma once

#include "actors/entity_traits.hpp"
#include "events/partition.hpp"

#include <unordered_map>

namespace runledger {

/// The names of workspaces as the ledger has them, read from where they were read up to before. One
/// thread; the log outlives it.
class known_names {
public:
  explicit known_names(const event_log& log) : log_(log) {}

  /// What is in the ledger now; nothing: it cannot be read. Valid until the next call.
  const names::state* of(const workspace_id& workspace) {
    if (known_.size() >= workspaces_max && !known_.contains(workspace.value))
      known_.clear();
    auto& known = known_[workspace.value];
    if (fold_on<names_traits>(log_, names_stream_of(workspace), known))
      return &known.state;
    known_.erase(workspace.value);
    return nullptr;
  }

private:
  static constexpr std::size_t workspaces_max = 1000;
  const event_log& log_;
  std::unordered_map<std::string, folded<names_traits>> known_;
};

} // namespace runledger
