#pragma once

#include "cli/command.hpp"
#include "cli/offline_ledger.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace runledger::cli {

/// A verb that works on a ledger with the server absent: as add_verb(), with the options of
/// offline_ledger. Its own options come after.
template <class Options>
CLI::App& add_offline_verb(CLI::App& noun, command& chosen, const std::string& name,
                           const std::string& help, const std::shared_ptr<Options>& options,
                           int (*run)(const Options&)) {
  auto& verb = *noun.add_subcommand(name, help);
  add_offline_options(verb, *options);
  verb.callback([&chosen, options, run] { chosen = [options, run] { return run(*options); }; });
  return verb;
}

} // namespace runledger::cli
