#include "events/session.hpp"

#include "events/planted_bugs.hpp"

#include <algorithm>

namespace runledger::session {

namespace {

bool foreign(const state& s, const command& c) {
  return s.at == phase::absent || s.workspace != c.workspace;
}

/// The same command again: same fingerprint, same answer.
decision replay(const turn& known, const accept_turn& ask) {
  if (known.fingerprint != ask.fingerprint)
    return rejection::idempotency_conflict;
  return outcome{{}, {}, true};
}

decision on(const state& s, const command& c, const accept_turn& ask) {
  // The earlier command comes before anything that the present state could object to.
  if (s.at != phase::absent && s.workspace != c.workspace)
    return rejection::not_found;
  if (const auto* known = find(s, ask.run))
    return replay(*known, ask);
  if (s.at == phase::absent && !ask.first)
    return rejection::not_found;
  if (s.at == phase::cancelling || s.at == phase::terminated)
    return rejection::terminated;
  turn_accepted fact;
  fact.turn = static_cast<std::int64_t>(s.turns.size()) + 1;
  fact.run = ask.run;
  bool fresh = s.at == phase::absent;
  fact.agent = fresh ? ask.agent : s.agent;
  fact.agent_slug = fresh ? ask.agent_slug : s.agent_slug;
  fact.agent_version = fresh ? ask.agent_version : s.agent_version;
  fact.trigger = ask.trigger;
  fact.prompt = ask.prompt;
  fact.initial_state = ask.initial_state;
  fact.limits = fresh ? ask.limits : s.limits;
  fact.parent_run = ask.parent_run;
  fact.key = ask.key;
  fact.fingerprint = ask.fingerprint;
  fact.fork = ask.fork;
  outcome out{{std::move(fact)}, {}, false};
  if (current(s) == nullptr) // Otherwise it queues behind the turn that runs.
    out.effects.emplace_back(dispatch_current{});
  return out;
}

decision on(const state& s, const command&, const end_turn& ask) {
  const auto* known = find(s, ask.run);
  if (known == nullptr)
    return rejection::not_found;
  if (known->ended())
    return outcome{};
  outcome out{{turn_ended{ask.run, ask.status}}, {}, false};
  auto left = std::ranges::count_if(s.turns, [](const turn& t) { return !t.ended(); });
  if (s.at == phase::cancelling && left == 1)
    out.facts.emplace_back(terminated{s.reason});
  if (s.at == phase::active)
    out.effects.emplace_back(dispatch_current{});
  return out;
}

decision on(const state& s, const command& c, const cancel& ask) {
  if (foreign(s, c))
    return rejection::not_found;
  if (!ask.key.empty() && ask.key == s.cancel_key && ask.fingerprint != s.cancel_fingerprint)
    return rejection::idempotency_conflict;
  if (s.at != phase::active) {
    outcome out;
    out.replayed = !ask.key.empty() && ask.key == s.cancel_key;
    if (s.at == phase::cancelling && current(s) != nullptr)
      out.effects.emplace_back(cancel_runs{});
    else if (s.at == phase::cancelling)
      out.facts.emplace_back(terminated{s.reason});
    return out;
  }
  outcome out{{cancel_requested{ask.reason, ask.key, ask.fingerprint}}, {}, false};
  if (current(s) == nullptr)
    out.facts.emplace_back(terminated{ask.reason});
  else
    out.effects.emplace_back(cancel_runs{});
  return out;
}

} // namespace

std::string_view to_string(phase p) {
  switch (p) {
    case phase::absent:
    case phase::active:
      return "active";
    case phase::cancelling:
      return "cancelling";
    case phase::terminated:
      return "terminated";
  }
  return "active";
}

bool open(const state& s) {
  return current(s) != nullptr || s.at == phase::cancelling;
}

const turn* current(const state& s) {
  return s.first_open < s.turns.size() ? &s.turns[s.first_open] : nullptr;
}

const turn* find(const state& s, const run_id& run) {
  // What is asked for is nearly always among the last turns.
  auto found = std::ranges::find(s.turns.rbegin(), s.turns.rend(), run, &turn::run);
  return found == s.turns.rend() ? nullptr : &*found;
}

decision decide(const state& now, const command& asked) {
  return std::visit([&](const auto& body) { return on(now, asked, body); }, asked.body);
}

state evolve(state s, const event& fact, timestamp at, std::uint64_t seq,
             const workspace_id& workspace) {
  s.last_activity_at = at;
  std::visit(overloaded{[&](const turn_accepted& e) {
                          if (s.at == phase::absent) {
                            s.at = phase::active;
                            s.workspace = workspace;
                            s.agent = e.agent;
                            s.agent_slug = e.agent_slug;
                            s.agent_version = e.agent_version;
                            s.limits = e.limits;
                            s.created_at = at;
                          }
                          s.turns.push_back({e.run, e.turn, seq, "pending", e.fingerprint, at});
                        },
                        [&](const turn_ended& e) {
                          auto one = std::ranges::find(s.turns, e.run, &turn::run);
                          one->status = e.status;
                          while (s.first_open < s.turns.size() && s.turns[s.first_open].ended())
                            ++s.first_open;
                        },
                        [&](const cancel_requested& e) {
                          s.at = phase::cancelling;
                          s.reason = e.reason;
                          s.cancel_key = e.key;
                          s.cancel_fingerprint = e.fingerprint;
                        },
                        [&](const terminated& e) {
                          s.at = phase::terminated;
                          s.reason = e.reason;
                          s.terminated_at = at;
                        }},
             fact);
  return s;
}

bool fits(const state& now, const event& fact) {
  if (const auto* accepted = std::get_if<turn_accepted>(&fact))
    return now.at <= phase::active && find(now, accepted->run) == nullptr;
  if (const auto* ended = std::get_if<turn_ended>(&fact)) {
    const auto* known = find(now, ended->run);
    return known != nullptr && !known->ended();
  }
  return now.at != phase::absent && now.at != phase::terminated;
}

std::vector<effect> recover(const state& now) {
  if (planted(bug::recovery_skips_session))
    return {};
  if (now.at == phase::cancelling && current(now) == nullptr)
    return {finish_cancel{}};
  if (now.at == phase::cancelling)
    return {cancel_runs{}};
  if (current(now) != nullptr)
    return {dispatch_current{}};
  return {};
}

} // namespace runledger::session
