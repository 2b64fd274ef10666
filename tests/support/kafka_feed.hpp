#pragma once

#include "events/fold.hpp"
#include "tests/support/kafka_records.hpp"
#include "tests/support/seeds.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

/// Feeds as a consumer may meet them: events between repeats, zombies' writes, forgeries and what
/// others wrote; and what our own fold makes of them.
namespace runledger::test {

/// A record in its place.
struct placed_record {
  std::string topic; ///< With its prefix.
  std::uint32_t partition = 0;
  std::int64_t offset = 0;
  kafka_record content;
};

/// As `kcat -J` prints it, without a line end. Bytes that are no UTF-8 stay as they are.
std::string kcat_line(const placed_record& r);

/// Our fold over the records of a ledger's partitions, in any order between partitions.
class feed_fold {
public:
  struct partition {
    partition_head head;
    std::map<std::string, stream_head> streams;
  };

  /// Accepts the record or not. `verdicts()` counts why.
  bool take(const placed_record& r);

  /// `id eventhash` of each accepted event, in order.
  const std::vector<std::string>& accepted() const { return accepted_; }
  /// How often the fold said what; `unreadable`: the record is not ours.
  const std::map<std::string, int>& verdicts() const { return verdicts_; }
  partition& at(const std::string& topic, std::uint32_t number);

private:
  std::map<std::pair<std::string, std::uint32_t>, partition> partitions_;
  std::vector<std::string> accepted_;
  std::map<std::string, int> verdicts_;
};

/// How many partitions a topic of a feed has, by its name without the prefix.
using feed_topics = std::vector<std::pair<std::string, std::uint32_t>>;
inline const feed_topics usual_topics{{"runs", 3}, {"workers", 2}, {"catalog", 1}};

/// About `count` records at `PREFIX.runs` and so on, in both content modes. The same dice give the
/// same records, whatever the prefix is.
std::vector<placed_record> random_feed(dice& roll, const std::string& prefix, int count);

} // namespace runledger::test
