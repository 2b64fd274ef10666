#pragma once

#include "cli/command.hpp"

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

namespace runledger::cli {

/// A verb of a noun, with the options of every client command. Its options live as long as the
/// command line; `run` gets them once they are parsed.
template <class Options>
CLI::App& add_verb(CLI::App& noun, command& chosen, const std::string& name,
                   const std::string& help, const std::shared_ptr<Options>& options,
                   int (*run)(const Options&)) {
  auto& verb = *noun.add_subcommand(name, help);
  add_client_options(verb, *options);
  verb.callback([&chosen, options, run] { chosen = [options, run] { return run(*options); }; });
  return verb;
}

} // namespace runledger::cli
