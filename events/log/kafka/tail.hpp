#pragma once

#include "events/log/kafka/client.hpp"
#include "events/log/kafka/limited_warnings.hpp"
#include "events/log/kafka/watch.hpp"
#include "events/log/replica.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace runledger::kafka {

/// Reads all partitions into a replica, in batches. One thread steps it; what is const is for any.
class tail {
public:
  /// `names`: of the partitions in the cluster, by flat number.
  tail(const cluster& with, replica& into, std::vector<raw_partition> names,
       std::function<void(int level, std::string_view line)> log);

  /// Connects, and reads from where the replica is.
  result<void, error> start();

  enum class outcome : std::uint8_t {
    idle = 1, ///< There was nothing.
    read,     ///< batch() is in the replica, and shown to its readers.
    waiting,  ///< The replica's file cannot be written now (disk full): the same batch again.
    lost,     ///< A partition does not have what comes next: it is not what it was. See why().
    broken,   ///< The replica's file is of no use. See why().
  };
  /// Reads one batch; waits at most so long for its first record.
  outcome step(std::chrono::milliseconds wait);
  /// What the last step read, with the fold's verdicts.
  const std::vector<raw_record>& batch() const { return batch_; }
  const std::string& why() const { return why_; }

  const std::vector<raw_partition>& names() const { return names_; }
  const consumer& client() const { return *consumer_; }
  /// True once all records before `ends` were read and shown.
  bool reached(const std::vector<std::int64_t>& ends) const;
  /// Of each partition the record that was read last, if there is one.
  std::vector<remembered_record> remembered() const;
  /// Records that the brokers have and this has not, as far as was heard.
  std::uint64_t lag() const;
  std::uint64_t count(verdict v) const { return counts_[static_cast<std::size_t>(v)]; }
  std::uint64_t foreign() const { return foreign_; }
  /// An answer came since this was asked last.
  bool take_contact() { return std::exchange(heard_, false); }
  /// A broker complained about a partition since this was asked last.
  bool take_complaint() { return std::exchange(complained_, false); }

private:
  /// Takes a message in. False: the batch must not go on behind it.
  bool take(message m);
  void take_record(std::uint32_t partition, message m);
  std::optional<std::uint32_t> partition_of(const message& m) const;
  outcome finish_batch();
  void count_batch();
  void say(int level, std::string line) const;

  const cluster& with_;
  replica& replica_;
  const std::vector<raw_partition> names_;
  const std::function<void(int, std::string_view)> log_;
  limited_warnings foreign_warnings_;
  std::unique_ptr<consumer> consumer_;
  std::unique_ptr<std::atomic<std::int64_t>[]> next_; ///< Shown up to here, gaps included.
  std::atomic<std::uint64_t> counts_[8] = {};
  std::atomic<std::uint64_t> foreign_{0};

  // Of the batch.
  std::vector<raw_record> batch_;
  std::vector<std::pair<std::uint32_t, replica_position>> read_;
  std::map<std::uint32_t, message> last_; ///< By partition.
  std::map<std::uint32_t, std::int64_t> ends_;
  std::size_t bytes_ = 0;
  bool unfinished_ = false; ///< The batch is judged, but not in the replica.
  std::vector<header_view> headers_;
  std::string why_;
  bool lost_ = false, heard_ = false, complained_ = false;
};

} // namespace runledger::kafka
