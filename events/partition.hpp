#pragma once

#include "events/fold.hpp"
#include "events/ids.hpp"
#include "events/log/event_log.hpp"
#include "events/result.hpp"
#include "events/time.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// A partition's own stream (`part_<topic>_<n>`): its founding event and the claims with which
/// processes take it. Its events belong to the workspace `system`, their principal is `system`, and
/// their partition key is the stream itself.
namespace runledger {

/// The workspace of events that belong to the server and to no tenant.
inline constexpr std::string_view system_workspace = "system";

/// What `partition.opened` says.
struct opened_partition {
  std::uint32_t partitions = 0; ///< How many the topic has.
  std::string partitioner;      ///< `murmur2`.
  std::string ledger;           ///< The ledger's id, a ULID.
};
/// Reads the data of a `partition.opened` event; nothing if it is not one.
std::optional<opened_partition> read_opened(std::string_view data);

/// A partition taken by this process.
struct partition_claim {
  std::uint32_t partition = 0;
  std::uint64_t epoch = 0; ///< What the holder writes into every record.
  std::string ledger;      ///< The ledger's id.
  stream_head head;        ///< Of the partition's own stream, behind the claim.
};

/// Why a partition could not be taken.
struct claim_error {
  enum class kind : std::uint8_t {
    unavailable = 1,       ///< The log does not answer or does not write.
    corrupt,               ///< The partition's own stream does not verify; see detail.
    wrong_partition_count, ///< The ledger was opened with another number of partitions.
    lost,                  ///< Others kept claiming in between.
  } what;
  std::string detail; ///< One sentence for the operator.
};

/// Takes a partition: founds its stream if it is empty, appends a claim with the next epoch, and
/// reads it back before returning. Blocks until the log has answered, each append at most
/// `patience`. `ids` names a ledger that is founded here. Call it before anything else is appended.
result<partition_claim, claim_error>
take_partition(event_log& log, std::uint32_t partition, std::string_view node,
               const wall_clock& clock, id_source& ids,
               std::chrono::milliseconds patience = std::chrono::seconds{30});

} // namespace runledger
