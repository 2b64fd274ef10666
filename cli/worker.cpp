#include "cli/remote_worker.hpp"
#include "cli/verb.hpp"

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

struct worker_options : client_options {
  std::string queue, name, folder, sandbox = "none";
  std::vector<std::string> command, environment;
  std::int64_t slots = 1, drain_seconds = 30;
  bool once = false;
};

std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? name : "worker";
}

/// A relative path means the folder in which the command was typed, not the run's.
std::vector<std::string> command_of(std::vector<std::string> words) {
  auto& program = words.front();
  if (program.find('/') != std::string::npos)
    program = std::filesystem::absolute(program).lexically_normal().string();
  return words;
}

/// `NAME=VALUE`, or `NAME` for this process's own value.
std::pair<std::string, std::string> variable_of(const std::string& text) {
  const auto equals = text.find('=');
  if (equals != std::string::npos)
    return {text.substr(0, equals), text.substr(equals + 1)};
  const char* own = std::getenv(text.c_str());
  if (own == nullptr)
    throw command_failure{exit_wrong, fmt::format("--env {}: there is no such variable", text)};
  return {text, own};
}

int serve_queue(const worker_options& asked) {
  remote_worker_options with;
  auto chosen = servers_of(asked);
  with.servers = std::move(chosen.servers);
  with.key = std::move(chosen.key);
  with.queue = asked.queue;
  with.name = asked.name.empty() ? host_name() : asked.name;
  with.folder = std::filesystem::absolute(asked.folder.empty() ? "runledger-worker" : asked.folder)
                    .lexically_normal()
                    .string();
  with.command = command_of(asked.command);
  for (const auto& each : asked.environment)
    with.environment.push_back(variable_of(each));
  with.slots = asked.once ? 1 : asked.slots;
  with.once = asked.once;
  with.drain = std::chrono::seconds{asked.drain_seconds};
  with.sandbox = asked.sandbox == "required"      ? harness::sandbox_mode::required
                 : asked.sandbox == "best_effort" ? harness::sandbox_mode::best_effort
                                                  : harness::sandbox_mode::none;
  return remote_worker{std::move(with)}.run();
}

} // namespace

void add_worker(CLI::App& app, command& chosen) {
  const auto asked = std::make_shared<worker_options>();
  auto& verb = add_verb(app, chosen, "worker", "Run the harnesses of a queue on this machine",
                        asked, serve_queue);
  verb.add_option("--queue", asked->queue, "The queue to serve")->required();
  verb.add_option("--slots", asked->slots, "Runs at a time (1)")->check(CLI::Range(1, 10'000));
  verb.add_flag("--once", asked->once, "Serve one run, then end");
  verb.add_option("--name", asked->name, "What people see (the host's name)");
  verb.add_option("--work-dir", asked->folder, "Folder of the work folders (./runledger-worker)");
  verb.add_option("--env", asked->environment,
                  "NAME=VALUE, or NAME for its value here: for the harness; may be repeated");
  verb.add_option("--sandbox", asked->sandbox, "none (as this user), best_effort or required")
      ->check(CLI::IsMember({"none", "best_effort", "required"}));
  verb.add_option("--drain-seconds", asked->drain_seconds,
                  "Time for the runs in flight after SIGTERM (30)")
      ->check(CLI::Range(0, 86'400));
  verb.add_option("COMMAND", asked->command, "The harness, behind `--`")->required();
  verb.footer("The key needs the scope `worker`; `--server` may name several nodes, with commas.\n"
              "Example:\n"
              "  runledger worker --server https://a:8080,https://b:8080 --queue gpu --slots 4 \\\n"
              "    -- python3 agent.py");
}

} // namespace runledger::cli
