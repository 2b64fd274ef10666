#pragma once

#include "events/json.hpp"

#include <optional>
#include <string>
#include <vector>

namespace runledger::cli {

/// A member that differs between two objects. Values are JSON as written; nothing: not there.
struct json_change {
  std::string pointer; ///< JSON Pointer (RFC 6901).
  std::optional<std::string> before, after;
};

/// What differs between two values: objects member by member, arrays element by element, all else
/// as written. In the order of `after`, then of what only `before` has.
std::vector<json_change> changes_between(const std::optional<json::value>& before,
                                         const std::optional<json::value>& after);

} // namespace runledger::cli
