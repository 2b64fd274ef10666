#pragma once

#include "tests/support/seeds.hpp"

#include <cstdint>

namespace runledger::test {

/// How a simulation goes: what happens how often. Each seed draws its own, so that some are calm in
/// one respect and wild in another; faults that never come together would hide each other's bugs.
struct fault_plan {
  std::int64_t steps = 300; ///< Of the driver, before the weather clears.
  bool in_order = false;    ///< Actors run in the order of their messages.
  std::int64_t slots = 2;   ///< Process slots of the server.
  std::int64_t idle_actor_ms = 10'000;
  std::int64_t max_queued = 1000;
  // Clients.
  std::int64_t agents = 2, runs = 4, messages = 2, cancels = 1, changes = 1;
  std::int64_t keyed_percent = 60, pooled_percent = 40;
  // Weights of the driver's choices.
  std::int64_t job = 60, harness = 20, log = 10, time = 6, client = 6;
  std::int64_t crash_permille = 3, zombie_permille = 5, kill_permille = 3, jump_permille = 2;
  // The ledger.
  std::int64_t hold_percent = 50;
  std::int64_t fault_percent = 10; ///< Of the appends that were held.
  /// Partitions of each topic; 0 runs: the ledger is not divided.
  std::uint32_t runs_partitions = 0, workers_partitions = 1, workspaces_partitions = 1,
                catalog_partitions = 1;
  std::int64_t hand_over_permille = 0; ///< Partitions are released, taken and lost.
  // The harnesses.
  std::int64_t rude_percent = 20;
};

inline fault_plan plan_of(std::uint64_t seed) {
  dice d{mix(seed, 77)};
  fault_plan p;
  p.steps = d.between(600, 4000);
  p.in_order = d.percent(30);
  p.slots = d.between(1, 4);
  p.idle_actor_ms = d.percent(30) ? d.between(1, 300) : 10'000;
  p.max_queued = d.percent(10) ? d.between(1, 3) : 1000;
  p.agents = d.between(1, 3);
  p.runs = d.between(1, 7);
  p.messages = d.between(0, 4);
  p.cancels = d.between(0, 3);
  p.changes = d.between(0, 3);
  p.keyed_percent = 20 * d.between(0, 5);
  p.pooled_percent = 25 * d.between(0, 4);
  p.job = d.between(30, 90);
  p.harness = d.between(5, 40);
  p.log = d.between(5, 30);
  p.time = d.between(1, 15);
  p.client = d.between(2, 15);
  p.crash_permille = d.percent(50) ? d.between(1, 10) : 0;
  p.zombie_permille = d.percent(50) ? d.between(1, 20) : 0;
  p.kill_permille = d.percent(40) ? d.between(1, 10) : 0;
  p.jump_permille = d.percent(30) ? d.between(1, 5) : 0;
  p.hold_percent = 25 * d.between(0, 4);
  p.fault_percent = d.percent(60) ? d.between(1, 40) : 0;
  p.rude_percent = d.percent(60) ? d.between(5, 60) : 0;
  if (d.percent(50)) {
    auto some = [&] { return static_cast<std::uint32_t>(d.between(1, 3)); };
    p.runs_partitions = some();
    p.workers_partitions = some();
    p.workspaces_partitions = some();
    p.catalog_partitions = some();
    p.hand_over_permille = d.percent(75) ? d.between(2, 30) : 0;
  }
  return p;
}

} // namespace runledger::test
