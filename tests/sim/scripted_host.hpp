#pragma once

#include "actors/harness/harness.hpp"
#include "events/ids.hpp"
#include "events/json.hpp"
#include "tests/sim/scripted_program.hpp"
#include "tests/support/sim_parts.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

namespace runledger::sim {

inline std::string attempt_name(const std::string& run, std::int64_t attempt) {
  return run + '#' + std::to_string(attempt);
}

/// What the scripted harnesses of all servers did and were told: the outside world, which outlives
/// every server.
struct outside {
  /// Executions of steps by idempotency key `<run>/<key>`.
  std::map<std::string, std::vector<std::int64_t>> effects;
  /// Attempts (`<run>#<attempt>`) that a harness spoiled by itself, and so may count.
  std::set<std::string> spoiled;
  /// Attempts that shared a process when one of them spoiled it: one may count if the server knew
  /// the others' runs as ended before it heard of that.
  std::vector<std::set<std::string>> spoiled_together;
  /// What the agent with this number does, and what goes wrong in an attempt of it.
  std::function<program(std::uint64_t number)> program_for = program_of;
  std::function<mishap(std::uint64_t number, std::int64_t attempt, std::int64_t percent)>
      mishap_for = mishap_of;
  /// Called with each line that a server writes to a harness, before the harness reads it.
  std::function<void(const std::string& run, const json::value& line)> on_line;
  /// One line for the trace.
  std::function<void(std::string)> note;
};

/// Harness processes that follow programs, one small step at a time. One thread: the driver calls
/// step() and time_passed(), and from there the sinks are called.
class scripted_host final : public harness::harness_host {
public:
  scripted_host(outside& world, const wall_clock& clock, std::uint64_t seed,
                std::int64_t rude_percent)
      : world_(world), clock_(clock), dice_(seed), rude_percent_(rude_percent) {}

  harness::process_handle start(harness::process_spec spec,
                                std::shared_ptr<harness::process_sink> sink) override;
  void write(harness::process_handle process, harness::outgoing_lines what) override;
  void open_run(harness::process_handle process, std::string run, std::int64_t heartbeat_ms,
                std::string raw_log) override;
  void close_run(harness::process_handle process, std::string run) override;
  void terminate(harness::process_handle process, std::int64_t grace_ms) override;
  void kill(harness::process_handle process) override;

  /// Processes with something to do now.
  std::vector<std::uint64_t> busy() const;
  /// Lets one of them do its next small thing.
  void step(std::uint64_t process);
  /// Silent runs are reported, processes that got a signal die.
  void time_passed();
  /// The machine kills one process that runs, out of the blue. False: there is none.
  bool kill_any();
  /// From now on nobody is rude.
  void calm_down() { rude_percent_ = 0; }
  /// The server is gone, and every process with it; no sink is called any more.
  void cut_off();
  std::size_t alive() const { return processes_.size(); }

private:
  /// Where a run's program stands in this attempt.
  struct script {
    std::string run;
    std::int64_t attempt = 0;
    std::uint64_t number = 0;
    program code;
    mishap trouble;
    std::size_t at = 0;
    enum class mode : std::uint8_t { ready, asked, executing, finished } now = mode::ready;
    std::int64_t execution = 0; ///< Of the step that executes.
    std::int64_t executing_until_ms = 0;
    std::int64_t lines = 0;
    bool effect_done = false, cancelled = false, silent = false;
    std::set<std::string> done_before; ///< Steps that the history shows as done.
  };
  struct open_state {
    std::int64_t heartbeat_ms = 0, heard_ms = 0;
    bool reported = false;
  };
  struct process {
    std::uint64_t id = 0;
    harness::process_spec spec;
    std::shared_ptr<harness::process_sink> sink;
    std::deque<std::string> inbox; ///< Lines not read yet.
    std::map<std::string, script> scripts;
    std::map<std::string, open_state> open;
    bool started = false, said_ready = false, never_ready = false;
    bool shutting_down = false, stubborn = false, pooled = false;
    std::int64_t started_ms = 0;
    std::optional<std::int64_t> dies_at_ms;
    std::optional<harness::exit_info> dying; ///< Delivered at the next step.
  };

  process* find(harness::process_handle handle);
  bool can_act(const process& p) const;
  bool can_act(const process& p, const script& s) const;
  void read_line(process& p);
  void read_run_start(process& p, const json::value& line);
  void read_history(script& s, const json::value& items);
  void read_step(process& p, script& s, const json::value& line, std::string_view type);
  void act(process& p, script& s);
  void begin_op(process& p, script& s, const op& next);
  void execute(process& p, script& s);
  void finish(process& p, script& s);
  bool misbehave(process& p, script& s);
  void say(process& p, script& s, std::string line);
  void spoil(const process& p, const std::string& run, std::int64_t attempt);
  void spoil_if_alone(const process& p);
  void die(process& p, harness::exit_info how);
  void deliver_exit(std::uint64_t id);
  std::string begin(const process& p, const script& s, std::string_view type) const;

  outside& world_;
  const wall_clock& clock_;
  test::dice dice_;
  std::int64_t rude_percent_;
  std::map<std::uint64_t, process> processes_;
  std::uint64_t last_ = 0;
  bool connected_ = true;
};

} // namespace runledger::sim
