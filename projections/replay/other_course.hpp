#pragma once

#include "events/money.hpp"
#include "events/run.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace runledger::replay {

/// What is to be other than it was. Absent: as recorded.
struct other_policy {
  std::optional<micro_usd> max_cost;        ///< Of each run, instead of its own limit.
  std::optional<std::int64_t> max_attempts; ///< Of each run, and of each of its steps.
  std::optional<micro_usd> budget; ///< Of a workspace's runs together, beside their own limits.
};

/// Where a run under the other policy leaves what is recorded.
struct parting {
  std::optional<failure> end; ///< With what it would have failed. Nothing: it goes on, unrecorded.
  std::string why;            ///< Without an end: what the ledger does not tell.
};

/// One run under two policies. Facts on which a policy has a say (usage, failures, and the start if
/// there is a budget) are turned back into the commands that they came from, and run::decide()
/// decides each twice: under the policy of the record and under the other one. As long as both
/// decide alike, what is recorded is what would have happened. Pure, one thread.
class other_course {
public:
  /// `policy` must live as long.
  explicit other_course(const other_policy& policy) : policy_(policy) {}

  /// The run's next recorded fact, which fits(). `left`: what is left of the budget before it;
  /// below zero once it is used up. Something: the two part at this fact; what comes behind it may
  /// only be followed.
  std::optional<parting> take(const run::event& fact, timestamp at,
                              std::optional<micro_usd> left = {});

  /// The next recorded fact behind a parting.
  void follow(const run::event& fact, timestamp at);

  /// As recorded, up to the last fact.
  const run::state& recorded() const { return state_; }

private:
  std::optional<parting> ask(const run::event& fact, timestamp at, std::optional<micro_usd> left);
  run::decision decide_otherwise(const run::command& asked, std::optional<micro_usd> left);

  const other_policy& policy_;
  run::state state_;
};

} // namespace runledger::replay
