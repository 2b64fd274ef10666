#include "actors/version_recipe.hpp"

#include "actors/entity_traits.hpp"

namespace runledger {

result<version_recipe, failure> read_recipe(const event_log& log, const blob_store& blobs,
                                            const agent_id& agent, std::int64_t version,
                                            const recipe& defaults) {
  auto folded = fold_stream<agent_traits>(log, stream_of(agent));
  if (!folded || version < 1 || version > static_cast<std::int64_t>(folded->state.versions.size()))
    return failure{"ledger_corrupt", "The agent's version cannot be read from the ledger."};
  auto text = load(folded->state.versions[static_cast<std::size_t>(version) - 1].recipe, blobs);
  auto parsed = text ? json::parse(*text) : result<json::document, json::error>{json::error{}};
  if (parsed)
    if (auto how = parse_recipe(parsed->root(), defaults))
      return version_recipe{std::move(*how), std::move(folded->state.slug)};
  return failure{"recipe_unreadable", "The recipe of this version cannot be read."};
}

std::string remote_queue(const event_log& log, const blob_store& blobs, const run::state& running,
                         const recipe& defaults) {
  auto slot = log.head(stream_of(running.worker));
  if (!slot || slot->has_value())
    return {};
  auto read = read_recipe(log, blobs, running.agent, running.agent_version, defaults);
  return read ? read->how.queue : std::string{};
}

failure resolve_environment(const recipe& how, const engine_settings& settings,
                            const workspace_id& workspace,
                            std::vector<std::pair<std::string, std::string>>& out) {
  out.clear();
  for (const auto& v : how.env) {
    if (v.secret.empty()) {
      out.emplace_back(v.name, v.text);
      continue;
    }
    auto secret = settings.secret ? settings.secret(v.secret, workspace) : std::nullopt;
    if (!secret)
      return {"secret_missing", "The secret `" + v.secret + "` is not there for this workspace."};
    out.emplace_back(v.name, std::move(*secret));
  }
  return {};
}

} // namespace runledger
