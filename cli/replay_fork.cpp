#include "cli/output.hpp"
#include "cli/replay_verbs.hpp"
#include "cli/run_output.hpp"
#include "cli/timeline.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

namespace runledger::cli {

namespace {

struct fork_options : client_options {
  std::string run, at, key;
  bool wait = false;
};

int fork_run(const fork_options& asked) {
  std::string body;
  json_writer{body}.begin_object().member("at", asked.at).end_object();
  const api server{asked};
  const auto reply = server.post("/api/v1/runs/" + segment(asked.run) + "/fork", body, asked.key);
  if (!asked.wait) {
    show_run(server, reply);
    return exit_done;
  }
  const auto document = parsed(reply.body);
  const auto run_id = cell(document.root(), "id");
  const auto status = follow_run(server, run_id, server.json());
  show_run(server, server.get("/api/v1/runs/" + segment(run_id)));
  return run_exit_code(status);
}

} // namespace

void add_replay_fork(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<fork_options>();
  auto& verb = add_verb(noun, chosen, "fork",
                        "Start a new run that goes on from a step of this one (asks the server)",
                        asked, fork_run);
  verb.add_option("RUN", asked->run, "The run's id, whatever its state")->required();
  verb.add_option("--at", asked->at,
                  "Key of the first step to execute again; what was recorded before it is kept")
      ->required();
  verb.add_option("--idempotency-key", asked->key,
                  "Repeating the call with this key starts nothing new");
  verb.add_flag("--wait", asked->wait,
                "Show the timeline until the new run has ended; exit 1 if it failed");
  verb.footer("Files that those steps left in the work folder are not kept: the new one is empty.\n"
              "Example:\n  runledger replay fork run_01J9... --at summarise --wait");
}

} // namespace runledger::cli
