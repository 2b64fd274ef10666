#pragma once

#include "events/fields.hpp"

namespace runledger {

/// What stops a run in its middle. Absent: no limit.
struct run_limits {
  std::optional<micro_usd> max_cost_micro_usd;
  std::optional<std::int64_t> max_steps;  ///< Distinct step keys.
  std::optional<std::int64_t> timeout_ms; ///< Wall clock from the first attempt's start.
  bool empty() const { return !max_cost_micro_usd && !max_steps && !timeout_ms; }
  friend bool operator==(const run_limits&, const run_limits&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("max_cost_micro_usd", f.max_cost_micro_usd);
    v("max_steps", f.max_steps);
    v("timeout_ms", f.timeout_ms);
  }
};

/// Back-off for attempts and for steps. Ratios are kept in thousandths, so that the ledger holds
/// integers only.
struct retry_policy {
  std::int64_t max_attempts = 5;
  std::int64_t initial_backoff_ms = 200;
  std::int64_t multiplier_milli = 2000;
  std::int64_t max_backoff_ms = 30'000;
  std::int64_t jitter_milli = 200;
  friend bool operator==(const retry_policy&, const retry_policy&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("max_attempts", f.max_attempts);
    v("initial_backoff_ms", f.initial_backoff_ms);
    v("multiplier_milli", f.multiplier_milli);
    v("max_backoff_ms", f.max_backoff_ms);
    v("jitter_milli", f.jitter_milli);
  }
};

/// The delay before the try after `failures` failed ones (1 or more). `random` is any number; the
/// same gives the same delay. Exponential, capped, then spread by +- jitter (AWS Architecture Blog,
/// "Exponential Backoff And Jitter", 2015).
std::int64_t backoff_ms(const retry_policy& policy, std::int64_t failures, std::uint64_t random);

struct mount {
  std::string source, target, mode; ///< mode: `ro` or `rw`.
  friend bool operator==(const mount&, const mount&) = default;
};

struct sandbox_resources {
  std::int64_t memory_mb = 1024;
  std::optional<std::int64_t> cpu_seconds;
  std::int64_t processes = 256;
  std::int64_t disk_mb = 1024;
  friend bool operator==(const sandbox_resources&, const sandbox_resources&) = default;
};

struct pool_size {
  std::int64_t max_processes = 1;
  std::int64_t max_runs_per_process = 1;
  friend bool operator==(const pool_size&, const pool_size&) = default;
};

/// One value of a recipe's `env`: public text, or the name of a secret.
struct environment_value {
  std::string name, text, secret;
  friend bool operator==(const environment_value&, const environment_value&) = default;
};

/// What a version of an agent is: how to start it, its limits, its retries. Parsed once from the
/// recipe's JSON, which the ledger keeps verbatim.
struct recipe {
  std::string harness_kind; ///< `process` or `worker`; `llm` is refused until it is built.
  std::string queue;        ///< Of kind `worker`: the queue whose workers run it.
  std::vector<std::string> command;
  std::vector<std::pair<std::string, std::string>> files;
  std::vector<mount> mounts;
  bool network = false;
  std::string sandbox = "required"; ///< `required`, `best_effort`, `none`.
  sandbox_resources resources;
  std::optional<pool_size> pool;
  std::int64_t heartbeat_ms = 60'000;
  std::int64_t drain_ms = 30'000;
  std::vector<environment_value> env;
  std::string state_schema; ///< JSON Schema text; empty: none.
  std::string description;
  run_limits limits;
  retry_policy retry;
};

/// One reason why a recipe is not acceptable: a path below the recipe and a sentence.
struct recipe_problem {
  std::vector<std::string> path; ///< `{"harness", "kind"}`
  std::string message,
      type; ///< type: stable code such as `missing`, `out_of_range`, `not_available`.
};

/// Reads and checks a recipe completely; every problem found is reported. What it leaves out is as
/// in `defaults`, which are the server's.
result<recipe, std::vector<recipe_problem>> parse_recipe(const json::value& v,
                                                         const recipe& defaults = {});

} // namespace runledger
