#pragma once

#include "projections/rebuild.hpp"
#include "projections/view_reader.hpp"

namespace runledger::views {

/// One view for GET /api/v1/admin/projections.
struct projection_status {
  std::string name;          ///< `runs`, `sessions`, ...
  std::int64_t position = 0; ///< Next offset, summed over the partitions.
  std::int64_t lag = 0;      ///< Offsets behind the ledger's end.
  std::string state;         ///< `live`, `behind`; `rebuilding` where the asker knows of that.
  std::vector<parked_row> parked;
  std::optional<rebuild_status> rebuild; ///< Where there is one to tell of.
};

answer<std::vector<projection_status>> projections_status(view_reader& reader);

} // namespace runledger::views
