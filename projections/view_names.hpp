#pragma once

#include <span>
#include <string_view>
#include <vector>

namespace runledger::views {

/// A view by its public name, with the tables that hold it. `parked`, `positions` and `meta` belong
/// to all.
struct view_tables {
  std::string_view name;
  std::vector<std::string_view> tables;
};

/// In the order in which they are shown.
std::span<const view_tables> all_views();
/// Null: there is no such view.
const view_tables* find_view(std::string_view name);

} // namespace runledger::views
