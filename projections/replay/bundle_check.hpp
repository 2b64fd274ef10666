#pragma once

#include "projections/replay/bundle.hpp"

#include <istream>

/// Whether a bundle is what a ledger under signed tree heads said. No ledger, no writes, no clock.
/// What it proves: docs/audit.md.
namespace runledger::replay {

struct bundle_check_options {
  /// Keys that the auditor trusts; none: those in the bundle itself.
  std::vector<ed25519::public_key> trusted;
  std::vector<kept_head> kept;    ///< The bundle must hold each of them, and be tied to it.
  bool allow_unsigned = false;    ///< Events under no signed head are counted, not found.
  std::size_t findings_max = 100; ///< Are kept; all are counted.
  progress_listener progress;     ///< In bytes.
  std::uint64_t size_bytes = 0;   ///< Of the bundle, for `progress`.
};

struct bundle_report {
  selection asked;    ///< What the bundle says that it was made for...
  std::string ledger; ///< ...of which ledger, by its id.
  std::string made_at, made_by;
  std::uint64_t events = 0, streams = 0, tree_heads = 0;
  std::uint64_t signed_events = 0;   ///< Proven to stand under a right tree head.
  std::uint64_t unsigned_events = 0; ///< Under no head: whoever wrote the file may have made them.
  std::uint64_t kept_events = 0;     ///< Those of them under a head that the auditor kept.
  std::uint64_t kept_matched = 0;    ///< Heads that the auditor kept and the bundle is tied to.
  std::vector<finding> findings;     ///< In the order of the file; each names its line.
  std::uint64_t found = 0; ///< All of them; 0: nobody has tampered, as far as can be told.
};

/// Reads the bundle to its end. An error, one sentence: it cannot be checked, because it is no
/// bundle, of a newer format, or cut off.
result<bundle_report, std::string> check_bundle(std::istream& bundle,
                                                const bundle_check_options& options);

} // namespace runledger::replay
