#pragma once

#include "cli/command.hpp"

namespace runledger::cli {

/// The verbs of `runledger audit`, each in a file of its own.
void add_audit_verify(CLI::App& noun, command& chosen);
void add_audit_export(CLI::App& noun, command& chosen);
void add_audit_keys(CLI::App& noun, command& chosen);
void add_audit_who(CLI::App& noun, command& chosen);

} // namespace runledger::cli
