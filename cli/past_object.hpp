#pragma once

#include "cli/offline_ledger.hpp"
#include "projections/replay/point.hpp"

#include <optional>
#include <string>

/// What `replay at` and `replay diff` share: an object of the API as it was at a point.
namespace runledger::cli {

/// The point that an argument names; ends the command with the grammar where it names none.
replay::point point_of(const std::string& argument);

/// What can be looked at in the past.
enum class past_kind : std::uint8_t { run, session, worker, spend };
/// Of an id; ends the command for ids of other things, and for points that this one does not have:
/// the spend of a workspace has no seq, and an offset only where the ledger has one partition.
past_kind past_kind_of(const offline_ledger& ledger, const std::string& id,
                       const replay::point& when);

struct past_object {
  std::string json; ///< The API's object; for a workspace that of GET /analytics/agents.
  timestamp at{};   ///< Of the last event in it.
  std::string last; ///< Which event that is, for people.
};
/// Nothing: it was not there. Ends the command where the ledger cannot be read.
std::optional<past_object> object_at(const offline_ledger& ledger, past_kind what,
                                     const std::string& id, const replay::point& when);

/// The object for people.
std::string past_text(past_kind what, const past_object& object, bool colour);

/// Ends the command: exit 1 for what was not there yet, exit 2 for what never was.
[[noreturn]] void refuse_absent(const offline_ledger& ledger, past_kind what, const std::string& id,
                                const replay::point& when);

} // namespace runledger::cli
