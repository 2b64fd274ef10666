#include "cli/command.hpp"
#include "cli/version.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

int run(const command& chosen) {
  try {
    return chosen();
  } catch (const command_failure& failure) {
    fmt::print(stderr, "runledger: {}\n", failure.message);
    return failure.exit_code;
  }
}

} // namespace

void add_commands(CLI::App& app, command& chosen) {
  app.set_version_flag("--version", fmt::format("runledger {}", version()));
  app.require_subcommand(1);
  add_serve(app, chosen);
  add_agents(app, chosen);
  add_runs(app, chosen);
  add_sessions(app, chosen);
  add_keys(app, chosen);
  add_workspaces(app, chosen);
  add_replay(app, chosen);
  add_audit(app, chosen);
  add_ledger(app, chosen);
  add_worker(app, chosen);
  add_doctor(app, chosen);
  app.footer("Exit codes: 0 done; 1 the answer is no, such as a run that failed; 2 the call was "
             "wrong or nothing "
             "could be done.\n"
             "Keys are never arguments: RUNLEDGER_API_KEY, else admin.key in the data folder.\n"
             "Examples:\n"
             "  runledger serve --data /var/lib/runledger\n"
             "  runledger runs start wordcount --prompt 'count the ballad' --wait\n"
             "  runledger runs start --help");
}

int run_command_line(int argc, char** argv) {
  CLI::App app{"Runledger: durable agent runs over an event ledger", "runledger"};
  command chosen;
  add_commands(app, chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& outcome) {
    return app.exit(outcome) == 0 ? exit_done : exit_wrong;
  }
  return run(chosen);
}

} // namespace runledger::cli
