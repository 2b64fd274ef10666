#pragma once

#include "actors/engine.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/recipe.hpp"
#include "events/run.hpp"

#include <string>
#include <utility>
#include <vector>

namespace runledger {

/// What a version of an agent says of its runs.
struct version_recipe {
  recipe how;
  std::string agent_slug;
};

/// Reads it from the ledger. A version that can run is immutable, so what was read once stays.
result<version_recipe, failure> read_recipe(const event_log& log, const blob_store& blobs,
                                            const agent_id& agent, std::int64_t version,
                                            const recipe& defaults);

/// The queue whose worker may have a running attempt still although the server ended; empty: its
/// harness ended with the server. The stream of a slot of a server tells them apart.
std::string remote_queue(const event_log& log, const blob_store& blobs, const run::state& running,
                         const recipe& defaults);

/// The environment that a recipe gives its harness, secrets resolved. A failure: one is missing.
failure resolve_environment(const recipe& how, const engine_settings& settings,
                            const workspace_id& workspace,
                            std::vector<std::pair<std::string, std::string>>& out);

} // namespace runledger
