#pragma once

#include "events/ids.hpp"
#include "projections/rows.hpp"

#include <cstdint>
#include <unordered_map>
#include <vector>

/// The read side's contract.
///
/// A view is a table computed from the ledger and from nothing else: no clock, no random number, no
/// file. Views are folded from the records of each partition in the order of their offsets; records
/// of different partitions may come in any order, and no column depends on it, nor on where one
/// batch ends and the next begins. So tables that were rebuilt equal those that grew, byte for byte
/// (view_store::dump tells), and any of them may be dropped at any time.
///
/// Rows and the position (the next offset of each partition) change in one transaction: whatever
/// kills the process, what is on disk is a prefix of the ledger, folded. The file is not synced:
/// after a crash of the machine it is rebuilt (the boot id tells).
///
/// An event that cannot be folded (damaged, or a fact that does not fit what came before) parks its
/// entity: its rows stay as they were, marked, and the table `parked` names the event. All other
/// entities go on. An event of an unknown type parks the timeline of its session.
namespace runledger::views {

/// The shape of the tables; another number on disk means: rebuild.
inline constexpr int schema_version = 2;
/// What the folds compute; raised with every change that gives other rows from the same events.
inline constexpr int fold_version = 1;

/// What one commit changed, for those who stream and for the authentication cache.
struct change_set {
  std::unordered_map<session_id, std::uint64_t> timelines; ///< Sessions with new items -> last seq.
  std::vector<run_id> ended_runs;
  bool keys = false;       ///< A key was made, revoked or parked.
  bool workspaces = false; ///< A workspace was made.
  bool empty() const { return timelines.empty() && ended_runs.empty() && !keys && !workspaces; }
};

} // namespace runledger::views
