#include "projections/worker_row.hpp"

#include "events/json_writer.hpp"

namespace runledger::views {

std::string layers_json(const std::vector<std::string>& layers) {
  std::string out;
  if (layers.empty())
    return out;
  json_writer json{out};
  json.begin_array();
  for (const auto& layer : layers)
    json.value(layer);
  json.end_array();
  return out;
}

worker_row worker_row_from(const worker_id& id, const worker::state& state) {
  worker_row out;
  out.id = id;
  out.node = state.node;
  out.slot = state.slot;
  out.busy = state.busy;
  out.agent = state.agent;
  out.agent_version = state.agent_version;
  out.layers = layers_json(state.layers);
  out.last_reason = state.last_reason;
  out.registered_at = state.registered_at.value_or(timestamp{});
  out.changed_at = state.changed_at.value_or(timestamp{});
  return out;
}

} // namespace runledger::views
