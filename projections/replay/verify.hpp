#pragma once

#include "events/ed25519.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/tree_head.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

/// Has anybody tampered with the ledger? Every event is hashed anew and judged by the fold, in the
/// order of its partition; tree heads are checked against the events before them and against what
/// the auditor brought along. What each check proves: docs/audit.md. No writes, no clock.
namespace runledger::replay {

enum class finding_kind : std::uint8_t {
  unreadable = 1,   ///< The ledger cannot be read from here on.
  damaged,          ///< A row does not match its hashes, or holds what it cannot hold.
  refused,          ///< The fold refuses it: changed, moved, inserted, or its predecessor is gone.
  missing,          ///< Offsets without an event.
  unfounded,        ///< The partition does not begin with its founding event.
  time_went_back,   ///< Before its predecessor in the stream.
  head_unreadable,  ///< A tree head whose data says nothing, or nothing that fits together.
  head_signature,   ///< Not signed by a key that counts.
  other_events,     ///< The root over the events is not the signed one.
  fewer_events,     ///< A head covers more events than there are: the end was cut off.
  other_partition,  ///< What stands before a head in the partition's own stream is not what was.
  foreign_head,     ///< A head that was brought along is of another ledger or partition.
  origin,           ///< Not a copied event that can have stood where it says.
  unfinished_index, ///< Differs from the streams' last events.
  blob,             ///< A content that an event names is missing or another.
  bundle,           ///< A line that cannot stand there in a bundle.
  bundle_digest,    ///< Some line of the bundle is not the one that was written.
  unsigned_events,  ///< Events of a bundle that no signed head covers.
};
std::string_view to_string(finding_kind kind);

/// Something that is not as it was written. The place is as exact as it can be told.
struct finding {
  finding_kind kind;
  std::uint32_t partition = 0;
  stream_id stream;         ///< Empty: of no stream.
  std::uint64_t seq = 0;    ///< 0: of no event.
  std::int64_t offset = -1; ///< -1: none.
  std::string what;         ///< One sentence without the place.
};

/// A tree head from outside of the ledger. It must be signed by a key that counts, and the ledger
/// must still hold what it covers.
struct kept_head {
  std::string from; ///< For people: `heads.jsonl, line 3`.
  signed_tree_head head;
};

struct verify_options {
  /// Keys that the auditor trusts; none: those that the ledger has registered.
  std::vector<ed25519::public_key> trusted;
  std::vector<kept_head> kept;
  bool offsets_without_gaps = false; ///< As in a SQLite ledger.
  bool check_unfinished = true;      ///< Compare the index of unfinished work.
  const blob_store* blobs = nullptr; ///< Set: check every content that events name.
  std::size_t findings_max = 100;    ///< Are kept; all are counted.
  /// Called now and then, with the events that were read and about how many there are.
  std::function<void(std::uint64_t done, std::uint64_t of)> progress;
};

struct verify_report {
  std::uint64_t events = 0, streams = 0, claims = 0;
  std::uint64_t tree_heads = 0;      ///< In the ledger.
  std::uint64_t signed_events = 0;   ///< Under a head that is right.
  std::uint64_t unsigned_events = 0; ///< Behind the last one: only chained.
  std::uint64_t copied_events = 0;   ///< From the ledger of which this one is a copy.
  std::uint64_t foreign_heads = 0;   ///< That ledger's last heads that the copied events bear out.
  std::uint64_t copied_unsigned = 0; ///< Copied events that no trusted head of it covers.
  std::uint64_t kept_matched = 0;    ///< Heads from outside that the ledger still bears out.
  std::uint64_t contents = 0;        ///< Blobs that were read.
  std::vector<finding> findings;     ///< The first ones, in the order of the ledger.
  std::uint64_t found = 0; ///< All of them; 0: nobody has tampered, as far as can be told.
};

/// Checks every partition up to its end as it is now. The ledger may grow meanwhile.
verify_report verify(const event_log& log, const verify_options& options);

} // namespace runledger::replay
