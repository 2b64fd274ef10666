#pragma once

#include "events/copied_ledger.hpp"
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
#include <variant>

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

/// The seal at the end of a partition; nothing where it is not sealed.
result<std::optional<partition_sealed>, read_error> seal_of(const event_log& log,
                                                            std::uint32_t partition);
/// The attributes of an event of a partition's own stream, for make_record().
envelope own_attributes(const stream_id& own, std::string type, std::string data, timestamp now);

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
    wrong_partition_count, ///< The topic was opened with another number of partitions.
    foreign,               ///< The partition is of another ledger than the first one.
    lost,                  ///< Others kept claiming in between.
    sealed,                ///< The ledger was copied elsewhere; see detail.
  } what;
  std::string detail; ///< One sentence for the operator.
};

/// Taking a partition, step by step, for whoever must not block: founds its stream (and first that
/// of the ledger's first partition) if it is empty, appends a claim with the next epoch, and reads
/// it back. All outlive it. One thread.
class partition_taking {
public:
  /// `ids` names a ledger that is founded here, unless `ledger` does: then a partition of any other
  /// is `foreign`.
  partition_taking(const event_log& log, std::uint32_t partition, std::string node,
                   const wall_clock& clock, id_source& ids, std::string ledger = {});

  /// A request that is to be appended, after which comes `wrote`; or the end.
  using step = std::variant<append_request, partition_claim, claim_error>;
  step next();
  void wrote(append_result how) { last_ = std::move(how); }

private:
  step claim();
  claim_error sealed_error(const std::optional<stream_head>& head) const;
  std::optional<step> found(std::uint32_t partition);
  std::optional<step> check_opened(const envelope& e, const topic_partition& name);
  envelope attributes(const stream_id& own, std::string_view name, std::string data) const;
  std::shared_ptr<record> make_opened(const topic_partition& name) const;
  std::shared_ptr<record> make_claim(const stream_head& head) const;

  const event_log& log_;
  const std::uint32_t partition_;
  const std::string node_;
  const wall_clock& clock_;
  id_source& ids_;
  const stream_id stream_;
  std::string ledger_;
  std::shared_ptr<record> claim_;         ///< The last that was tried.
  std::optional<append_result> last_;     ///< Of the request that next() gave last.
  std::optional<std::uint32_t> founding_; ///< The last that was to be founded.
  int attempts_ = 0;
};

/// The same at once. Blocks until the log has answered, each append at most `patience`. Call it
/// before anything else is appended.
result<partition_claim, claim_error>
take_partition(event_log& log, std::uint32_t partition, std::string_view node,
               const wall_clock& clock, id_source& ids,
               std::chrono::milliseconds patience = std::chrono::seconds{30},
               std::string ledger = {});

} // namespace runledger
