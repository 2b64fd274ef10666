#pragma once

#include "cli/command.hpp"

namespace runledger::cli {

/// The verbs of `runledger replay`, each in a file of its own: by add_offline_verb()
/// (offline_verb.hpp) where it reads a ledger without a server. A new verb: a file, a line here, a
/// line in replay.cpp.
void add_replay_show(CLI::App& noun, command& chosen);
void add_replay_at(CLI::App& noun, command& chosen);
void add_replay_diff(CLI::App& noun, command& chosen);
void add_replay_rebuild(CLI::App& noun, command& chosen);
void add_replay_what_if(CLI::App& noun, command& chosen);
void add_replay_fork(CLI::App& noun, command& chosen);

} // namespace runledger::cli
