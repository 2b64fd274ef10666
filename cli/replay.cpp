#include "cli/command.hpp"
#include "cli/replay_verbs.hpp"

#include <CLI/CLI.hpp>

namespace runledger::cli {

void add_replay(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("replay", "Look into recorded history, and go on from it");
  noun.require_subcommand(1);
  add_replay_show(noun, chosen);
  add_replay_at(noun, chosen);
  add_replay_diff(noun, chosen);
  add_replay_rebuild(noun, chosen);
  add_replay_what_if(noun, chosen);
  add_replay_fork(noun, chosen);
  noun.footer("Example:\n  runledger replay fork run_01J9... --at summarise --wait");
}

} // namespace runledger::cli
