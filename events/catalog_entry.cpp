#include "events/catalog_entry.hpp"

#include <array>

namespace runledger {

namespace key {

namespace {
constexpr std::array<std::pair<std::string_view, scope>, 5> scope_table{
    {{"read", read}, {"write", write}, {"budget", budget}, {"worker", worker}, {"admin", admin}}};
} // namespace

std::optional<std::uint8_t> scopes_from(const std::vector<std::string>& names) {
  std::uint8_t out = 0;
  for (const auto& name : names) {
    auto known = std::find_if(scope_table.begin(), scope_table.end(),
                              [&](const auto& entry) { return entry.first == name; });
    if (known == scope_table.end())
      return std::nullopt;
    out = static_cast<std::uint8_t>(out | known->second);
  }
  return out;
}

std::vector<std::string> scope_names(std::uint8_t scopes) {
  std::vector<std::string> out;
  for (const auto& [name, bit] : scope_table)
    if ((scopes & bit) != 0)
      out.emplace_back(name);
  return out;
}

result<outcome, rejection> decide(const state& now, const command& asked) {
  if (const auto* ask = std::get_if<create>(&asked.body)) {
    if (!now.exists())
      return outcome{{ask->fact}, false};
    if (now.fingerprint != ask->fact.fingerprint || now.workspace != asked.workspace)
      return rejection::idempotency_conflict;
    return outcome{{}, true};
  }
  if (!now.exists())
    return rejection::not_found;
  if (now.revoked_at)
    return outcome{{}, true};
  return outcome{{revoked{}}, false};
}

state evolve(state s, const event& fact, timestamp at, const workspace_id& workspace) {
  if (const auto* e = std::get_if<created>(&fact)) {
    s.workspace = workspace;
    s.title = e->title;
    s.scopes = e->scopes;
    s.secret_hash = e->secret_hash;
    s.expires_at = e->expires_at;
    s.fingerprint = e->fingerprint;
    s.created_at = at;
  } else {
    s.revoked_at = at;
  }
  return s;
}

bool fits(const state& now, const event& fact) {
  return std::holds_alternative<created>(fact) ? !now.exists() : now.exists() && !now.revoked_at;
}

} // namespace key

namespace workspace {

result<outcome, rejection> decide(const state& now, const command& asked) {
  if (!now.exists())
    return outcome{{asked.fact}, false};
  if (asked.fact.idempotency_key.empty() || now.idempotency_key != asked.fact.idempotency_key)
    return rejection::exists;
  if (now.fingerprint != asked.fact.fingerprint)
    return rejection::idempotency_conflict;
  return outcome{{}, true};
}

state evolve(state s, const event& fact, timestamp at) {
  const auto& e = std::get<created>(fact);
  s.created_at = at;
  s.title = e.title;
  s.idempotency_key = e.idempotency_key;
  s.fingerprint = e.fingerprint;
  return s;
}

bool fits(const state& now, const event&) {
  return !now.exists();
}

} // namespace workspace

namespace names {

const std::string* owner_of(const state& s, std::string_view kind, std::string_view text) {
  auto found = s.owners.find(std::string{kind} + '/' + std::string{text});
  return found == s.owners.end() ? nullptr : &found->second;
}

result<outcome, rejection> decide(const state& now, const command& asked) {
  const auto* owner = owner_of(now, asked.kind, asked.text);
  if (owner != nullptr && *owner == asked.owner)
    return outcome{};
  if (owner != nullptr && *owner != asked.ghost)
    return rejection::taken;
  return outcome{{claimed{asked.kind, asked.text, asked.owner}}};
}

state evolve(state s, const event& fact) {
  const auto& e = std::get<claimed>(fact);
  s.owners[e.kind + '/' + e.text] = e.owner;
  return s;
}

bool fits(const state&, const event&) {
  return true;
}

} // namespace names

namespace worker {

result<outcome, rejection> decide(const state& now, const command& asked) {
  outcome out;
  if (!now.exists)
    out.facts.emplace_back(registered{asked.node, asked.slot});
  if (const auto* begun = std::get_if<process_started>(&asked.report)) {
    if (now.busy)
      out.facts.emplace_back(process_ended{"server_ended", 0, 0});
    out.facts.emplace_back(*begun);
  } else if (now.busy) {
    out.facts.emplace_back(std::get<process_ended>(asked.report));
  }
  return out;
}

state evolve(state s, const event& fact, timestamp at) {
  s.changed_at = at;
  std::visit(overloaded{[&](const registered& e) {
                          s.exists = true;
                          s.node = e.node;
                          s.slot = e.slot;
                          s.registered_at = at;
                        },
                        [&](const process_started& e) {
                          s.busy = true;
                          s.agent = e.agent;
                          s.agent_version = e.agent_version;
                          s.layers = e.layers;
                        },
                        [&](const process_ended& e) {
                          s.busy = false;
                          s.last_reason = e.reason;
                        }},
             fact);
  return s;
}

bool fits(const state& now, const event& fact) {
  return std::holds_alternative<registered>(fact) != now.exists;
}

} // namespace worker

} // namespace runledger
