#pragma once

#include "cli/command.hpp"

namespace runledger::cli {

/// The verbs of `runledger replay`, each in a file of its own.
void add_replay_fork(CLI::App& noun, command& chosen);

} // namespace runledger::cli
