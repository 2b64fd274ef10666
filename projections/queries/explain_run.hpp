#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// Why a run is where it is.
struct explanation {
  run_id run;
  std::string status;
  std::string reason;   ///< `queued, backing_off, executing, waiting_for_worker, waiting_for_human,
                        ///< budget, finished`
  std::string summary;  ///< One sentence.
  std::string event_id; ///< The event that caused it.
  std::optional<timestamp> until;
};

/// Nothing if there is no such run in this workspace. `now` tells a back-off that is over from one
/// that is not.
answer<std::optional<explanation>> explain_run(view_reader& reader, const workspace_id& workspace,
                                               std::string_view id, timestamp now);

} // namespace runledger::views
