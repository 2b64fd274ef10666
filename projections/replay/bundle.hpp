#pragma once

#include "events/result.hpp"
#include "projections/replay/selection.hpp"
#include "projections/replay/verify.hpp"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// A bundle: events taken out of a ledger with all that it takes to verify them far from it. One
/// JSON object a line: `bundle` (the manifest), `key`, `tree_head`, `event`, `end`. Normative:
/// docs/events.md. Written and read line by line: memory does not grow with it but for what is
/// remembered of each stream while it is checked.
namespace runledger::replay {

inline constexpr std::string_view bundle_format = "runledger-bundle";
inline constexpr std::int64_t bundle_version = 1;

/// Takes the next bytes of a file; false: they cannot be written.
using byte_sink = std::function<bool(std::string_view)>;
/// Called now and then.
using progress_listener = std::function<void(std::uint64_t done, std::uint64_t of)>;

struct bundle_options {
  selection what;
  std::vector<kept_head> kept; ///< Heads to which the bundle shall be tied as well.
  timestamp made_at{};
  std::string made_by; ///< The program and its version.
  std::string folder;  ///< For a temporary file of 64 bytes an event of the ledger.
  byte_sink write;
  progress_listener progress;
};

struct export_error {
  enum class kind : std::uint8_t {
    nothing = 1, ///< The ledger holds none of what was asked for.
    ledger,      ///< It cannot be read, or is damaged; see `why`.
    unsound,     ///< It is not as it was signed, or does not hold a head that was brought along.
    output,      ///< The output or the temporary file cannot be written.
  } what;
  std::string detail; ///< One sentence.
  read_error why{};   ///< With `ledger`.
};

struct bundle_summary {
  std::string ledger; ///< Its id.
  std::uint64_t events = 0;
  std::uint64_t unsigned_events = 0; ///< Behind the last tree head: only chained.
  std::uint64_t keys = 0, tree_heads = 0;
};

/// Writes the bundle of the ledger as it is now; the ledger may grow meanwhile. Reads it twice: for
/// the trees, and for the events. After an error what was written is worth nothing.
result<bundle_summary, export_error> write_bundle(const event_log& log,
                                                  const bundle_options& options);

/// The last line of a bundle without its line feed: the digest is that of every byte before it.
std::string bundle_end_line(const digest& before);

} // namespace runledger::replay
