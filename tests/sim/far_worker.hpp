#pragma once

#include "actors/harness/worker_protocol.hpp"
#include "tests/sim/world.hpp"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace runledger::sim {

/// A remote worker with its harnesses, as the protocol wants it: it keeps frames until they are
/// answered, comes back to whoever holds its queue, and says them again. Each run does the same
/// steps and ends. Executions are noted in the world outside. One thread.
class far_worker {
public:
  far_worker(world& w, stream_id queue, std::string token, std::vector<std::string> steps,
             std::int64_t slots = 1);
  ~far_worker();
  far_worker(const far_worker&) = delete;
  far_worker& operator=(const far_worker&) = delete;

  /// One small thing; false: there is nothing to do now.
  bool step();
  /// The connection breaks.
  void cut();
  /// It dies, with all that it has.
  void kill();
  /// It says nothing more and hears nothing, but lives.
  void doze(bool on) { asleep_ = on; }

  /// Steps with this key do not end.
  std::set<std::string> gates;
  bool holds(const run_id& run) const { return slots_.contains(run.value); }

private:
  struct connection;
  struct slot {
    harness::held_lease lease;
    bool begun = false; ///< Its `run.start` came.
    std::size_t at = 0; ///< The step.
    bool executing = false;
    std::int64_t attempt = 0;      ///< Of the step that executes.
    std::set<std::string> gone_on; ///< `key#attempt` of each step.go that was obeyed.
    std::vector<harness::frame> unanswered;
    std::int64_t frames = 0;
  };

  void attach();
  void read(const std::string& line);
  void say(slot& one, harness::frame f);
  void send(const slot& one, const harness::frame& f) const;
  void ask_for_step(slot& one);
  void step_over(slot& one, const std::string& key);

  world& world_;
  const stream_id queue_;
  const std::string token_;
  const std::vector<std::string> steps_;
  const std::int64_t offered_;
  std::map<std::string, slot> slots_;
  std::shared_ptr<connection> connection_;
  std::int64_t again_at_ms_ = 0, beat_at_ms_ = 0;
  bool asleep_ = false, dead_ = false;
};

} // namespace runledger::sim
