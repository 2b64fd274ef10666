#include "cli/audit_verbs.hpp"

#include <CLI/CLI.hpp>

namespace runledger::cli {

void add_audit(CLI::App& app, command& chosen) {
  auto& noun = *app.add_subcommand("audit", "Answer auditors from the ledger, without a server");
  noun.require_subcommand(1);
  add_audit_verify(noun, chosen);
  add_audit_export(noun, chosen);
  add_audit_keys(noun, chosen);
  add_audit_who(noun, chosen);
  noun.footer("Example:\n  runledger audit who run_01J9... --data /var/lib/runledger");
}

} // namespace runledger::cli
