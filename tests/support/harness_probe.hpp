#pragma once

#include "actors/harness/process_host.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temp_folder.hpp"

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <unistd.h>
#include <vector>

/// What tests of the harness host need: a sink that remembers, a folder that goes away, the rude
/// harness.
namespace runledger::test {

inline constexpr std::chrono::seconds patience{20};

/// Remembers everything and lets a test wait for it.
class recording_sink : public harness::process_sink {
public:
  struct heard {
    std::optional<int> ready_runs;
    std::vector<std::string> layers;
    std::vector<harness::frame> frames;
    std::vector<harness::protocol_error> errors;
    std::vector<std::string> lost, flooded;
    std::optional<harness::exit_info> exit;
    int exits = 0;
    int after_exit = 0; // Calls that came too late.
  };

  void on_started(const std::vector<std::string>& layers) override {
    note([&](heard& h) { h.layers = layers; });
  }
  void on_ready(int max_runs) override {
    note([&](heard& h) { h.ready_runs = max_runs; });
  }
  void on_frame(harness::frame&& f) override {
    note([&](heard& h) { h.frames.push_back(std::move(f)); });
  }
  void on_protocol_error(const harness::protocol_error& error) override {
    note([&](heard& h) { h.errors.push_back(error); });
  }
  void on_flood(const std::string& run, const harness::protocol_error& error) override {
    note([&](heard& h) {
      h.flooded.push_back(run);
      h.errors.push_back(error);
    });
  }
  void on_heartbeat_lost(const std::string& run) override {
    note([&](heard& h) { h.lost.push_back(run); });
  }
  void on_exit(const harness::exit_info& info) override {
    note([&](heard& h) {
      h.exit = info;
      ++h.exits;
    });
  }

  /// True once `condition` holds of what was heard; false after the deadline.
  template <class Condition>
  bool wait(Condition condition) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, patience, [&] { return condition(heard_); });
  }
  bool wait_exit() {
    return wait([](const heard& h) { return h.exit.has_value(); });
  }
  bool wait_frames(std::size_t n) {
    return wait([n](const heard& h) { return h.frames.size() >= n; });
  }
  heard now() {
    std::lock_guard lock{mutex_};
    return heard_;
  }

private:
  template <class Change>
  void note(Change change) {
    std::lock_guard lock{mutex_};
    if (heard_.exit)
      ++heard_.after_exit;
    change(heard_);
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  heard heard_;
};

/// As much as can be read: what stands in /proc goes with its process at any moment.
inline std::string read_text(const std::string& path) {
  std::ostringstream out;
  out << std::ifstream{path, std::ios::binary}.rdbuf();
  return out.str();
}

inline void write_text(const std::string& path, const std::string& text) {
  std::ofstream{path, std::ios::binary} << text;
}

/// Nobody else's on this machine: without a namespace and a group a harness is known by it.
inline const std::string rude_run = "run_" + std::to_string(::getpid());

/// A single-run process that does what the rude harness is told, in a work folder below `data`.
inline harness::process_spec rude(const std::string& data, std::vector<std::string> arguments,
                                  const std::string& run = rude_run) {
  harness::process_spec spec;
  spec.command = {"python3", "-S", "/agent/rude_harness.py"};
  spec.command.insert(spec.command.end(), arguments.begin(), arguments.end());
  spec.files = {{"rude_harness.py",
                 read_text(std::string{RUNLEDGER_SOURCE_DIR} + "/tests/support/rude_harness.py")}};
  spec.work_dir = data + "/folders/" + run;
  spec.run = run;
  spec.session = "sess_1";
  spec.attempt = 1;
  return spec;
}

} // namespace runledger::test
