#pragma once

#include "events/digest.hpp"
#include "events/ids.hpp"
#include "events/time.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// One stored fact with everything that its hash covers: a CloudEvent 1.0 with extensions
/// (docs/events.md). (stream, seq) is its identity: a second copy is the same fact.
struct envelope {
  stream_id stream;       ///< CloudEvents `subject`; with seq also `id` = `<stream>:<seq>`.
  std::uint64_t seq = 0;  ///< 1-based place in the stream; extension `sequence`.
  std::string type;       ///< `dev.runledger.run.started.v1`.
  workspace_id workspace; ///< `source` = `/runledger/<workspace>`.
  std::string
      partition_key; ///< Extension `partitionkey`: a run's is its session, else the stream itself.
  timestamp time{};  ///< Never before the predecessor's in the stream.
  std::string causation_id;   ///< The command or event that caused it.
  std::string correlation_id; ///< The request that started it all.
  std::string principal;      ///< Who, derived by the server: `key_...`, `system`, `run_...`.
  std::string traceparent;    ///< W3C Trace Context, or empty.
  std::string data;           ///< JSON, exactly the bytes that datahash covers.
  digest datahash;            ///< SHA-256 of data.
  digest prevhash;            ///< eventhash of the predecessor; 64 zeros at seq 1.
  digest eventhash;           ///< SHA-256 of canonical_header().

  std::string id() const { return stream.value + ':' + std::to_string(seq); }
};

/// The bytes that eventhash covers. Normative text and test vectors: docs/events.md.
void append_canonical_header(std::string& out, const envelope& e);

/// Fills datahash and eventhash from the rest.
void seal(envelope& e);

/// True if datahash and eventhash are what the contents say.
bool hashes_match(const envelope& e);

/// A fact in its place: what stands beside the envelope and is not hashed, so that a copy can
/// restamp it.
struct record {
  envelope event;
  std::uint32_t partition = 0;
  std::int64_t offset = -1; ///< Place in the partition; grows, may have gaps.
  std::uint64_t epoch = 0;  ///< The writer's epoch.
  bool open = false;        ///< After this event the stream has unfinished work.
  std::optional<std::int64_t>
      due_ms;         ///< After this event: the next timer, as milliseconds since 1970.
  std::string damage; ///< Set by readers: why this row cannot be trusted. Empty: sound.
  std::string origin; ///< Where a copied event stood first (events/copied_ledger.hpp); empty: here.
};

/// Shared between the log, views and subscribers; nobody changes a record once the log has accepted
/// it.
using record_ptr = std::shared_ptr<const record>;

/// `dev.runledger.` and `.v<n>` around the name: full_type("run.started", 1).
std::string full_type(std::string_view name, int version);

/// The parts of a full type; nothing if it is not one of ours in form.
struct type_name {
  std::string_view name; ///< `run.started`
  int version = 0;
};
std::optional<type_name> split_type(std::string_view full);

} // namespace runledger
