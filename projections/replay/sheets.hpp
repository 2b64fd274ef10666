#pragma once

#include "projections/replay/bundle.hpp"

#include <cstdint>

/// The ledger as tables for spreadsheets (CSV, see csv.hpp). Nothing in them is signed: what they
/// say can be checked with a bundle of the same events.
namespace runledger::replay {

enum class sheet : std::uint8_t {
  runs,  ///< A line a run that was accepted in the time asked for, as it is at the ledger's end:
         ///< those that ended, in the order of their ends, then the others.
  spend, ///< A line for each day (UTC), workspace, agent, model and category of the usage that
         ///< was reported in the time asked for.
};

/// Writes the table; how many lines beside the head. Reads the ledger once; memory grows with the
/// runs that are under way at a time, for `spend` with its lines as well. A damaged event of what
/// was asked for is an error.
result<std::uint64_t, export_error> write_sheet(const event_log& log, sheet which,
                                                const selection& what, const byte_sink& write,
                                                const progress_listener& progress);

} // namespace runledger::replay
