#include "events/agent.hpp"

#include <algorithm>

namespace runledger::agent {

namespace {

const version* find(const state& s, std::int64_t number) {
  if (number < 1 || number > static_cast<std::int64_t>(s.versions.size()))
    return nullptr;
  return &s.versions[static_cast<std::size_t>(number) - 1];
}

decision on(const state& s, const create& ask) {
  if (s.exists()) {
    if (s.fingerprint != ask.fingerprint || ask.key.empty())
      return rejection::idempotency_conflict;
    return outcome{{}, true, 0};
  }
  return outcome{
      {created{ask.slug, ask.title, ask.description, ask.recipe, ask.key, ask.fingerprint}},
      false,
      0};
}

decision on(const state& s, const create_version& ask) {
  auto known = std::ranges::find(s.versions, ask.command, &version::command);
  if (known != s.versions.end() && !ask.command.empty()) {
    if (known->fingerprint != ask.fingerprint)
      return rejection::idempotency_conflict;
    return outcome{{}, true, known - s.versions.begin() + 1};
  }
  auto number = static_cast<std::int64_t>(s.versions.size()) + 1;
  return outcome{
      {version_created{number, ask.recipe, ask.command, ask.key, ask.fingerprint}}, false, number};
}

decision on(const state& s, const change_draft& ask) {
  const auto* known = find(s, ask.version);
  if (known == nullptr)
    return rejection::version_not_found;
  if (known->at != version_phase::draft)
    return rejection::not_draft;
  if (known->recipe == ask.recipe)
    return outcome{{}, false, ask.version};
  return outcome{{draft_changed{ask.version, ask.recipe}}, false, ask.version};
}

decision on(const state& s, const activate& ask) {
  const auto* known = find(s, ask.version);
  if (known == nullptr)
    return rejection::version_not_found;
  if (known->at != version_phase::draft)
    return rejection::wrong_phase;
  return outcome{{version_activated{ask.version}}, false, ask.version};
}

decision on(const state& s, const archive& ask) {
  const auto* known = find(s, ask.version);
  if (known == nullptr)
    return rejection::version_not_found;
  if (known->at != version_phase::active)
    return rejection::wrong_phase;
  return outcome{{version_archived{ask.version}}, false, ask.version};
}

} // namespace

std::string_view to_string(version_phase p) {
  switch (p) {
    case version_phase::draft:
      return "draft";
    case version_phase::active:
      return "active";
    case version_phase::archived:
      return "archived";
  }
  return "draft";
}

std::int64_t active_version(const state& s) {
  for (auto n = s.versions.size(); n > 0; --n)
    if (s.versions[n - 1].at == version_phase::active)
      return static_cast<std::int64_t>(n);
  return 0;
}

decision decide(const state& now, const command& asked) {
  if (now.exists() && now.workspace != asked.workspace)
    return rejection::not_found;
  if (!now.exists() && !std::holds_alternative<create>(asked.body))
    return rejection::not_found;
  return std::visit([&](const auto& body) { return on(now, body); }, asked.body);
}

state evolve(state s, const event& fact, timestamp at, const workspace_id& workspace) {
  s.updated_at = at;
  auto nth = [&](std::int64_t n) -> version& {
    return s.versions[static_cast<std::size_t>(n) - 1];
  };
  std::visit(
      overloaded{
          [&](const created& e) {
            s.workspace = workspace;
            s.slug = e.slug;
            s.title = e.title;
            s.description = e.description;
            s.fingerprint = e.fingerprint;
            s.created_at = at;
            if (!e.recipe.empty())
              s.versions.push_back({version_phase::active, e.recipe, {}, {}, at});
          },
          [&](const version_created& e) {
            s.versions.push_back({version_phase::draft, e.recipe, e.command, e.fingerprint, at});
          },
          [&](const draft_changed& e) { nth(e.version).recipe = e.recipe; },
          [&](const version_activated& e) { nth(e.version).at = version_phase::active; },
          [&](const version_archived& e) { nth(e.version).at = version_phase::archived; }},
      fact);
  return s;
}

bool fits(const state& now, const event& fact) {
  if (std::holds_alternative<created>(fact))
    return !now.exists();
  if (!now.exists())
    return false;
  return std::visit(overloaded{[](const created&) { return false; },
                               [&](const version_created& e) {
                                 return e.version
                                        == static_cast<std::int64_t>(now.versions.size()) + 1;
                               },
                               [&](const auto& e) { return find(now, e.version) != nullptr; }},
                    fact);
}

} // namespace runledger::agent
