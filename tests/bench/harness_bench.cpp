// Measures what a harness process costs: spawn to `ready` in the sandbox and without, and frames a
// second through one pipe to the sink.
#include "tests/support/harness_probe.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>

using namespace runledger::harness;
using namespace runledger::test;

namespace {

using clock_type = std::chrono::steady_clock;

double ms_since(clock_type::time_point from) {
  return std::chrono::duration<double, std::milli>(clock_type::now() - from).count();
}

void spawn_to_ready(process_host& host, const std::string& data, sandbox_mode mode,
                    const char* name) {
  constexpr int rounds = 100;
  std::vector<double> ms;
  for (int i = 0; i < rounds; ++i) {
    auto spec = rude(data, {}, "run_" + std::to_string(i));
    spec.command = {"/bin/sh", "-c", R"(echo '{"type":"ready","protocol":1}'; read x)"};
    spec.sandbox = mode;
    auto sink = std::make_shared<recording_sink>();
    auto from = clock_type::now();
    auto process = host.start(spec, sink);
    if (!sink->wait([](const auto& h) { return h.ready_runs.has_value(); }))
      return;
    ms.push_back(ms_since(from));
    host.kill(process);
    sink->wait_exit();
  }
  std::sort(ms.begin(), ms.end());
  std::printf("spawn to ready, %s: p50 %.1f ms, p99 %.1f ms\n", name, ms[rounds / 2],
              ms[rounds * 99 / 100]);
}

/// Counts and forgets.
struct counting_sink : recording_sink {
  void on_frame(frame&& f) override { bytes += f.payload.size(), ++frames; }
  std::atomic<std::size_t> frames{0}, bytes{0};
};

void frames_through_a_pipe(process_host& host, const std::string& data) {
  constexpr std::size_t wanted = 1'000'000;
  auto spec =
      rude(data, {"ready=64",
                  R"(flood={"type":"step.done","run":"run_01JABCDEFGHJKMNPQRSTVWXYZ0","id":"42",)"
                  R"("key":"step-42","output":{"text":"some words of an answer","n":[1,2,3]}})"});
  spec.run.clear();
  spec.pool_output = {1ULL << 40, 1ULL << 40, 1ULL << 40, 1ULL << 40};
  auto sink = std::make_shared<counting_sink>();
  auto process = host.start(spec, sink);
  sink->wait([](const auto& h) { return h.ready_runs.has_value(); });
  auto from = clock_type::now();
  auto first = sink->frames.load();
  while (sink->frames - first < wanted && ms_since(from) < 30'000)
    ::usleep(1000);
  std::printf("frames through one pipe: %.0f/s\n",
              static_cast<double>(sink->frames - first) / ms_since(from) * 1000);
  host.kill(process);
  sink->wait_exit();
}

} // namespace

int main() {
  temp_folder data;
  process_host host{{.data_dir = data.path()}};
  spawn_to_ready(host, data.path(), sandbox_mode::required, "sandboxed");
  spawn_to_ready(host, data.path(), sandbox_mode::none, "direct");
  frames_through_a_pipe(host, data.path());
}
