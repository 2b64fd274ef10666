#include "projections/replay/other_course.hpp"

#include <algorithm>

namespace runledger::replay {

namespace {

/// The command that a fact came from, as far as the fact tells.
struct question {
  run::command_body command;
  /// Another answer than the recorded one may be none of the policy's: the fact would have come
  /// anyway (a failure that was final).
  bool may_be_final = false;
  std::string unrecorded; ///< What the ledger does not tell if the other answer does not end it.
};

run::command_body harness_said(const run::state& s, run::frame_body body) {
  return run::frame{s.attempt, {}, std::move(body)};
}

/// True for the end that a limit of the run's own brought, on which no other policy has a say here.
bool came_from_limit(const run::state& s, const failure& error, timestamp at) {
  const auto& own = s.limits;
  if (error.code == "cost_limit_exceeded")
    return own.max_cost_micro_usd && s.cost > *own.max_cost_micro_usd;
  if (error.code == "step_limit_exceeded")
    return own.max_steps && static_cast<std::int64_t>(s.steps.size()) >= *own.max_steps;
  return error.code == "timeout" && s.timeout_due && *s.timeout_due <= at;
}

std::optional<question> question_of(const run::state& s, const run::event& fact, timestamp at) {
  using asked = std::optional<question>;
  return std::visit(
      overloaded{
          [&](const run::usage_reported& f) {
            return asked{{harness_said(s, run::note{f}), false,
                          "it would not have ended at its own cost limit here, and what it would "
                          "have done then is not recorded"}};
          },
          [&](const run::attempt_failed& f) {
            return asked{{run::end_attempt{f.attempt, f.error, f.counted, false}, false, {}}};
          },
          [&](const run::step_retrying& f) {
            return asked{{harness_said(s, run::fail_step{f.key, f.error, true}), false,
                          "step \"" + f.key
                              + "\" would have been given up here, and what the agent would have "
                                "done then is not recorded"}};
          },
          [&](const run::step_failed& f) {
            return asked{
                {harness_said(s, run::fail_step{f.key, f.error, true}), true,
                 "step \"" + f.key + "\" might have been tried again here, which is not recorded"}};
          },
          [&](const run::failed& f) {
            if (s.at != run::phase::running || came_from_limit(s, f.error, at))
              return asked{};
            return asked{{run::end_attempt{s.attempt, f.error, true, false}, true,
                          "another attempt might have followed here, which is not recorded"}};
          },
          [](const auto&) { return asked{}; }},
      fact);
}

bool ends(const run::outcome& decided) {
  return std::ranges::any_of(decided.facts, [](const run::event& fact) {
    return std::holds_alternative<run::failed>(fact);
  });
}

/// Alike in kind: texts name the limits, and delays are drawn by lot.
bool alike(const run::outcome& a, const run::outcome& b) {
  return std::ranges::equal(a.facts, b.facts, {}, &run::event::index, &run::event::index);
}

parting ended_by(const run::outcome& decided) {
  parting out;
  for (const auto& fact : decided.facts)
    if (const auto* end = std::get_if<run::failed>(&fact))
      out.end = end->error;
  return out;
}

failure budget_failure(micro_usd budget, micro_usd spent) {
  return {"budget_exceeded",
          "Budget exceeded: $" + to_usd_text(spent) + " > $" + to_usd_text(budget)};
}

} // namespace

std::optional<parting> other_course::take(const run::event& fact, timestamp at,
                                          std::optional<micro_usd> left) {
  auto out = ask(fact, at, left);
  follow(fact, at);
  return out;
}

void other_course::follow(const run::event& fact, timestamp at) {
  state_ = run::evolve(std::move(state_), fact, at);
}

run::decision other_course::decide_otherwise(const run::command& asked,
                                             std::optional<micro_usd> left) {
  const auto own_limits = state_.limits;
  const auto own_retry = state_.retry;
  auto& most = state_.limits.max_cost_micro_usd;
  if (policy_.max_cost)
    most = policy_.max_cost;
  if (left) { // What the run may still spend is what all may still spend.
    const auto shared = state_.cost + *left;
    most = most ? std::min(*most, shared) : shared;
  }
  if (policy_.max_attempts)
    state_.retry.max_attempts = *policy_.max_attempts;
  auto out = run::decide(state_, asked);
  state_.limits = own_limits;
  state_.retry = own_retry;
  return out;
}

std::optional<parting> other_course::ask(const run::event& fact, timestamp at,
                                         std::optional<micro_usd> left) {
  if (left && std::holds_alternative<run::started>(fact) && count(*left) < 0) {
    const auto spent = micro_usd{count(*policy_.budget) - count(*left)};
    const auto refused =
        run::decide(state_, {at, 0, run::refuse{{}, 0, budget_failure(*policy_.budget, spent)}});
    return ended_by(*refused);
  }
  auto asked = question_of(state_, fact, at);
  if (!asked)
    return std::nullopt;
  const run::command command{at, 0, std::move(asked->command)};
  const auto was = run::decide(state_, command), other = decide_otherwise(command, left);
  if (!was || !other || was->facts.empty() || was->facts.front().index() != fact.index()) {
    if (asked->may_be_final)
      return std::nullopt;
    return parting{{}, "this version of Runledger does not decide as it is recorded here"};
  }
  if (alike(*was, *other))
    return std::nullopt;
  if (!ends(*other) || ends(*was))
    return parting{{}, std::move(asked->unrecorded)};
  auto out = ended_by(*other);
  if (const auto* usage = std::get_if<run::usage_reported>(&fact); left && usage != nullptr) {
    const auto spent = micro_usd{count(*policy_.budget) - count(*left)} + usage->cost_micro_usd;
    out.end = budget_failure(*policy_.budget, spent);
  }
  return out;
}

} // namespace runledger::replay
