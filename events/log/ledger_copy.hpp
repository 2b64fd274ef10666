#pragma once

#include "events/copied_ledger.hpp"
#include "events/ed25519.hpp"
#include "events/ids.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/time.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

/// COPYING A LEDGER to another back end or other partitions, so that it goes on there
/// (docs/moving-ledgers.md).
///
/// The source is taken and its partitions end with `partition.sealed`, which names the target: from
/// there on nothing is accepted in it. The target is founded with the id that the seals name, and
/// begins with `ledger.copy_started`: the source's id, partitions and last tree heads. Then come
/// the source's events as they are, each with its origin beside it, in the order of their
/// times as far as the orders of the source's partitions allow; partitions' own streams stay. A
/// content that an event names is put before the event. `ledger.copied` ends the copy.
///
/// It may be killed at any point: what is there says how far it was, and it goes on. Nothing is
/// written to a target that holds anything else. Both logs are this process's alone. One thread.
namespace runledger {

/// One side of a copy.
struct copy_side {
  event_log* log = nullptr;
  blob_store* blobs = nullptr; ///< nullptr: none is known.
  std::string name;            ///< As the operator named it; stands in seal and copy.
};

struct copy_options {
  copy_side from, to;
  const wall_clock* clock = nullptr;
  id_source* ids = nullptr;
  /// A node's, to sign a last head of what its last one does not cover; nothing: none is signed.
  std::optional<ed25519::private_key> key;
  std::size_t group_events = 2000; ///< Are appended at once.
  std::chrono::milliseconds patience{30'000};
  /// Called now and then with the source's events that are passed, and how many there are.
  std::function<void(std::uint64_t done, std::uint64_t of)> progress;
  /// Called before every claim, seal and content. May throw: the call ends there, and another goes
  /// on.
  std::function<void()> pause;
};

/// Why there is no copy, or not a whole one.
struct copy_error {
  enum class kind : std::uint8_t {
    refused = 1, ///< It must not be made, or not go on.
    failed,      ///< A log or store did not answer or write. Another call goes on.
    in_use,      ///< Another process writes to the source or the target.
    damaged,     ///< The source's events are not those that were written.
  } what;
  std::string detail; ///< One sentence for the operator.
};

struct copy_report {
  bool was_done = false; ///< Nothing was left to be done.
  std::string from_ledger, to_ledger;
  std::uint64_t partitions = 0; ///< Of the source.
  std::uint64_t events = 0;     ///< In the copy...
  std::uint64_t appended = 0;   ///< ...and how many of them this call has appended.
  std::uint64_t contents = 0;   ///< Blobs that this call has put.
};

/// What stands between a source and a target as they are.
struct copy_state {
  std::string from_ledger;
  std::optional<partition_sealed> seal; ///< Of the first sealed partition; nothing: none is.
  bool sealed = false;                  ///< All partitions are.
  bool target_empty = true;
  bool done = false;
};
/// Looks, and writes nothing. `to`: nullptr where nothing is there yet. `refused`: this copy must
/// not be made.
result<copy_state, copy_error> look_at_copy(const event_log& from, const event_log* to,
                                            const std::string& to_name);

/// Seals, copies, and goes on where an earlier call ended.
result<copy_report, copy_error> copy_ledger(const copy_options& options);

/// What the own stream of a ledger's first partition says of a copy that it is.
struct copy_facts {
  std::optional<ledger_copy_started> started;
  std::optional<ledger_copied> ended;
};
result<copy_facts, read_error> copy_facts_of(const event_log& log);

/// One sentence for the operator where the ledger was copied elsewhere. Nothing: it was not. Reads
/// the ledger only where it was.
result<std::optional<std::string>, read_error> why_sealed(const event_log& log);
/// The same where no server may write to the ledger: it was copied elsewhere, or is a copy that is
/// not whole.
result<std::optional<std::string>, read_error> why_closed(const event_log& log);

} // namespace runledger
