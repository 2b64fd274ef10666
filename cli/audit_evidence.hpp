#pragma once

#include "events/json_writer.hpp"
#include "projections/replay/verify.hpp"

#include <cstdint>
#include <string>
#include <vector>

/// What an auditor brings along, and how what was found is told: shared by the verbs of `audit`.
namespace runledger::cli {

/// The lines of a text, without their line feeds.
std::vector<std::string_view> lines_of(std::string_view text);

/// The keys of `--public-key FILE`; none for no file. Ends the command (exit 2) where the file
/// holds none, or another kind besides.
std::vector<ed25519::public_key> trusted_keys(const std::string& path);
/// The tree heads of `--against FILE`. Ends the command (exit 2) unless every line is one.
std::vector<replay::kept_head> brought_heads(const std::vector<std::string>& paths);

/// Adds the tree heads in the files of DATA/tree-heads, if there are any. A line that is none is a
/// finding; half a line at the end is what a crash leaves.
void add_kept_beside(const std::string& folder, std::vector<replay::kept_head>& to,
                     replay::verify_report& report);
/// Findings from outside of the ledger come behind its own.
void put_behind(replay::verify_report& report, replay::verify_report outside);

/// The first bad place and everything that was found, for people.
void print_findings(const std::vector<replay::finding>& findings, std::uint64_t found,
                    const char* outside);
/// `found` and `findings`.
void write_findings(json_writer& json, const std::vector<replay::finding>& findings,
                    std::uint64_t found);

/// What `audit verify --bundle` is told.
struct bundle_call {
  std::string path;
  std::string public_key; ///< The file; empty: the keys in the bundle.
  std::vector<replay::kept_head> kept;
  bool allow_unsigned = false;
  bool json = false;
};
/// Verifies a bundle and says what came out; the exit code.
int verify_bundle(const bundle_call& asked);

} // namespace runledger::cli
