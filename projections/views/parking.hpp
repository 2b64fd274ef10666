#pragma once

#include "events/envelope.hpp"
#include "projections/sql.hpp"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runledger::views {

/// The entities whose views stand still, and the event that stopped each: the first one that did.
class parking {
public:
  explicit parking(sqlite::connection& db);

  bool holds(std::string_view view, const std::string& entity) const {
    return !parked_.empty() && parked_.contains({entity, std::string{view}});
  }
  void park(std::string_view view, const std::string& entity, const record& r, std::string reason);

  void write();
  void settle() { fresh_.clear(); }
  /// Back to what is in the file.
  void forget();

private:
  sqlite::connection& db_;
  query insert_;
  std::set<std::pair<std::string, std::string>> parked_;
  std::vector<parked_row> fresh_;
};

} // namespace runledger::views
