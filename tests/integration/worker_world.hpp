#pragma once

#include "tests/integration/contract_world.hpp"
#include "tests/support/program.hpp"
#include "tests/support/relay.hpp"

#include <memory>
#include <string>
#include <vector>

namespace runledger::contract {

/// A world with the agent `remote`, whose runs go to the queue `q`, and workers beside it.
class worker_world : public world {
public:
  /// The lease is long: nothing expires because the machine is busy. Who waits for an end says so.
  explicit worker_world(std::vector<std::string> flags = {"--workers.lease", "30s"})
      : world(std::move(flags)) {}

  /// As world::start; again after a kill.
  bool start() {
    if (!world::start())
      return false;
    way.target(server.port());
    if (worker_key.empty()) {
      make_agent("remote", recipe_of_queue());
      worker_key = make_key(R"("worker")");
    }
    return true;
  }

  static std::string recipe_of_queue(const std::string& more = {}) {
    return R"({"harness":{"kind":"worker","queue":"q","drain_seconds":5},)"
           R"("retry":{"initial_backoff_ms":10,"jitter":0})"
           + more + "}";
  }

  using variables = test::program::variables;
  /// A worker of the queue. Each has a folder of its own, unless one is named.
  std::unique_ptr<test::program> work(std::vector<std::string> more = {},
                                      const std::string& work_dir = {},
                                      const std::string& servers = {}, variables beside = {}) {
    const auto name = unique("worker");
    std::vector<std::string> words{RUNLEDGER_BINARY, "worker",
                                   "--server",       servers.empty() ? url() : servers,
                                   "--queue",        "q",
                                   "--name",         name,
                                   "--work-dir",     work_dir.empty() ? folder / name : work_dir};
    words.insert(words.end(), more.begin(), more.end());
    for (const auto& each : {std::string{"--env"}, "CONTRACT_GATES=" + (folder / "gates"),
                             std::string{"--"}, std::string{"python3"},
                             std::string{RUNLEDGER_SOURCE_DIR "/tests/support/contract_agent.py"}})
      words.push_back(each);
    beside.emplace_back("RUNLEDGER_API_KEY", worker_key);
    return std::make_unique<test::program>(std::move(words), std::move(beside),
                                           folder / (name + ".printed"));
  }
  /// Through the relay: the server has another port after each start.
  std::string url() const { return "http://127.0.0.1:" + std::to_string(way.port()); }

  std::string begin_remote(const std::string& script) const {
    return begin(script, "remote")["id"];
  }
  /// Waits until the run has so many events of this type.
  bool await_events(const std::string& type, const std::string& stream, int count) const {
    return eventually([&] { return events_of(type, stream) >= count; });
  }
  int steps_begun(const std::string& run) const { return events_of("run.step_started", run); }

  test::relay way;

  std::string worker_key;
  const std::string queue = "queue/default/q";
};

} // namespace runledger::contract
