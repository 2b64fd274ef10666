#pragma once

#include "tests/sim/clients.hpp"
#include "tests/sim/watched_views.hpp"

#include <string>

namespace runledger::sim {

/// How a simulation ended.
struct verdict_of_seed {
  std::string problem; ///< Empty: all held.
  std::string report;  ///< With a problem: seed, step and the last lines of the trace.
  std::uint64_t trace_hash = 0;
  std::size_t events = 0;
  std::size_t runs = 0, succeeded = 0, failed = 0, cancelled = 0, crashes = 0, executions = 0;
};

/// Real actors, a ledger with faults, scripted harnesses and clients that repeat themselves, driven
/// by one seed: first in bad weather, then until everything has come to rest.
class simulation {
public:
  explicit simulation(std::uint64_t seed);
  verdict_of_seed run();

private:
  void bad_weather();
  void act();
  bool run_actor();
  bool move_harness();
  bool end_append();
  bool deliver_letter();
  void let_time_pass();
  void meddle();
  void crash_and_start();
  void second_server();
  void late_append();
  void forge();
  bool divided() const { return plan_.runs_partitions > 0; }
  void hand_over();
  void gather();
  std::vector<std::uint32_t> some_partitions();
  void clear_weather();
  bool at_rest();
  bool wait_for_rest();
  void check_leaks();
  void check_effects();
  void check_names();
  server* living();
  std::vector<server*> all_living();

  std::uint64_t seed_;
  test::dice dice_;
  test::fault_plan plan_;
  world world_;
  clients clients_;
  watched_views views_;
  std::vector<std::vector<append_request>> late_; ///< What dead servers had under way.
  std::vector<stream_head> old_heads_;
  std::int64_t step_ = 0;
  std::size_t crashes_ = 0;
};

/// Runs one seed.
verdict_of_seed simulate(std::uint64_t seed);

} // namespace runledger::sim
