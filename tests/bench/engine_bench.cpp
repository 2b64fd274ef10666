// Whole runs through the engine alone: actors, SQLite ledger, a pooled harness; no HTTP, no views.
//
//   engine_bench [--runs N] [--steps N] [--concurrency N] --data DIR --harness PROGRAM [--unpooled]
//   [--direct]
//
// --direct: without a sandbox (valgrind does not know all that a sandbox needs). Prints runs per
// second and the groups that were committed.

#include "actors/engine.hpp"
#include "actors/harness/process_host.hpp"
#include "events/json_writer.hpp"
#include "events/log/file_blob_store.hpp"
#include "events/log/sqlite_log.hpp"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>

using namespace runledger;

namespace {

struct options {
  std::int64_t runs = 20'000, steps = 3, concurrency = 64;
  std::string data, harness;
  bool pooled = true, direct = false;
};

options read(int argc, char** argv) {
  options out;
  for (int i = 1; i < argc; ++i) {
    std::string name = argv[i];
    if (name == "--unpooled" || name == "--direct") {
      (name == "--direct" ? out.direct : out.pooled) = name == "--direct";
      continue;
    }
    std::string value = i + 1 < argc ? argv[++i] : "";
    if (name == "--runs")
      out.runs = std::stoll(value);
    else if (name == "--steps")
      out.steps = std::stoll(value);
    else if (name == "--concurrency")
      out.concurrency = std::stoll(value);
    else if (name == "--data")
      out.data = value;
    else if (name == "--harness")
      out.harness = value;
  }
  return out;
}

/// Keeps `concurrency` runs under way until all have ended.
class driver {
public:
  driver(engine& e, options o) : engine_(e), options_(std::move(o)) {}

  void run() {
    for (std::int64_t i = 0; i < options_.concurrency; ++i)
      next();
    std::unique_lock lock{mutex_};
    done_.wait(lock, [&] { return ended_ == options_.runs; });
  }
  std::int64_t failed() const { return failed_; }

private:
  void next() {
    if (started_.fetch_add(1) >= options_.runs)
      return;
    start_run_request ask;
    ask.context.workspace = workspace_id{"default"};
    ask.context.principal = "bench";
    ask.agent = "bench";
    ask.prompt = text_payload("go");
    ask.on_end = [this](ended_run end) {
      if (end.state->at != run::phase::succeeded)
        ++failed_;
      over();
    };
    engine_.start_run(
        std::move(ask), answer<accepted_run>{[this](result<accepted_run, refusal_info> outcome) {
          if (outcome)
            return;
          std::fprintf(stderr, "refused: %d %s\n", static_cast<int>(outcome.error().code),
                       outcome.error().detail.c_str());
          ++failed_;
          over();
        }});
  }
  void over() {
    next();
    std::lock_guard lock{mutex_};
    if (++ended_ == options_.runs)
      done_.notify_all();
  }

  engine& engine_;
  options options_;
  std::atomic<std::int64_t> started_{0}, failed_{0};
  std::int64_t ended_ = 0;
  std::mutex mutex_;
  std::condition_variable done_;
};

payload recipe_of(const options& o) {
  auto program = std::filesystem::absolute(o.harness);
  std::string json;
  json_writer w{json};
  w.begin_object().key("harness").begin_object().member("kind", "process");
  w.key("command").begin_array();
  w.value(o.direct ? program.string() : "/opt/agent/" + program.filename().string());
  w.value("--max-runs").value(o.pooled ? "4096" : "1");
  w.value("--steps").value(std::to_string(o.steps)).end_array();
  if (o.direct) {
    w.member("sandbox", "none");
  } else {
    w.key("mounts").begin_array().begin_object().member("source", program.parent_path().string());
    w.member("target", "/opt/agent").member("mode", "ro").end_object().end_array();
  }
  if (o.pooled)
    w.raw_member("pool", R"({"max_processes":1,"max_runs_per_process":4096})");
  w.end_object().end_object();
  return payload{json, {}};
}

} // namespace

int main(int argc, char** argv) {
  auto o = read(argc, argv);
  std::filesystem::create_directories(o.data);
  auto data = std::filesystem::absolute(o.data).string();
  auto log = sqlite_log::open({data});
  auto blobs = file_blob_store::open(data + "/blobs");
  if (!log || !blobs) {
    std::fprintf(stderr, "%s\n", (!log ? log.error() : blobs.error()).c_str());
    return 2;
  }
  harness::process_host host{{data}};
  system_wall_clock clock;
  engine_settings settings;
  settings.data_dir = data;
  settings.sandbox_mount_roots = {"/"};
  settings.sandbox_allow_none = o.direct;
  engine actors{settings,
                {**log,
                 **blobs,
                 host,
                 clock,
                 {},
                 [](std::string why) {
                   std::fprintf(stderr, "fatal: %s\n", why.c_str());
                   std::_Exit(1);
                 },
                 {}}};
  create_agent_request create;
  create.context.workspace = workspace_id{"default"};
  create.title = create.slug = "bench";
  create.recipe = recipe_of(o);
  std::atomic<int> created{0};
  actors.create_agent(create, answer<agent_answer>{[&](result<agent_answer, refusal_info> outcome) {
                        created = outcome || outcome.error().code == errc::name_taken ? 1 : 2;
                        created.notify_all();
                      }});
  created.wait(0);
  driver bench{actors, o};
  auto begin = std::chrono::steady_clock::now();
  bench.run();
  auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto cpu = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
             + static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  auto stats = actors.stats();
  std::printf(
      "%lld runs of %lld steps, %lld at once: %.0f runs/s, %.3f ms CPU a run, %.2f events a group, "
      "%.2f groups a run, %lld failed\n",
      static_cast<long long>(o.runs), static_cast<long long>(o.steps),
      static_cast<long long>(o.concurrency), static_cast<double>(o.runs) / seconds,
      cpu * 1000 / static_cast<double>(o.runs),
      static_cast<double>(stats.appended_events) / static_cast<double>(stats.append_groups),
      static_cast<double>(stats.append_groups) / static_cast<double>(o.runs),
      static_cast<long long>(bench.failed()));
  actors.drain();
  return bench.failed() == 0 ? 0 : 1;
}
