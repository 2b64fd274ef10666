#include "projections/view_names.hpp"

#include <algorithm>

namespace runledger::views {

std::span<const view_tables> all_views() {
  static const std::vector<view_tables> views = {
      {"runs", {"runs", "artifacts"}}, {"sessions", {"sessions"}},
      {"timeline", {"timeline"}},      {"agents", {"agents", "agent_versions"}},
      {"workers", {"workers"}},        {"keys", {"keys"}},
      {"workspaces", {"workspaces"}},
  };
  return views;
}

const view_tables* find_view(std::string_view name) {
  const auto found = std::ranges::find(all_views(), name, &view_tables::name);
  return found == all_views().end() ? nullptr : &*found;
}

} // namespace runledger::views
