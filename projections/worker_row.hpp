#pragma once

#include "events/catalog_entry.hpp"
#include "projections/rows.hpp"

#include <string>
#include <vector>

namespace runledger::views {

/// The slot as its events tell.
worker_row worker_row_from(const worker_id& id, const worker::state& state);
/// The column `layers`: a JSON array; empty for none.
std::string layers_json(const std::vector<std::string>& layers);

} // namespace runledger::views
