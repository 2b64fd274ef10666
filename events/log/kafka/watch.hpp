#pragma once

#include "events/log/kafka/client.hpp"
#include "events/log/replica.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace runledger::kafka {

/// A record that was read, by what was remembered of it.
struct remembered_record {
  raw_partition where;
  std::int64_t offset = 0;
  digest hash; ///< hash_of()
};
/// Of key, headers and value as they came.
digest hash_of(const record_view& r);

/// What became of records that were read once: where a text stands, in one sentence.
struct comparison {
  std::optional<std::string> differs; ///< Another record stands there, or none can.
  /// The partition ended before it until the time was over. A broker that has just taken over may
  /// not show its last records yet.
  std::optional<std::string> shorter;
};
/// Reads the records again. An error: not all of them could be read in time.
result<comparison, error> compare(const cluster& with,
                                  const std::vector<remembered_record>& records,
                                  std::chrono::milliseconds timeout);

/// For how long something was seen, by answers that follow each other: the time in which nobody
/// answered does not count. One thread.
class seen_time {
public:
  using clock = std::chrono::steady_clock;

  /// It was seen. For how long now.
  clock::duration seen(clock::time_point now) {
    if (last_)
      total_ += now - *last_;
    last_ = now;
    return total_;
  }
  /// It was not.
  void gone() {
    total_ = {};
    last_.reset();
  }
  /// Nobody answered.
  void unknown() { last_.reset(); }

private:
  clock::duration total_{};
  std::optional<clock::time_point> last_;
};

/// Asks the brokers, on a thread of its own: whether they are there, who leads what, where the
/// partitions end, and whether the records that were read are still the same.
class watch {
public:
  struct options {
    const cluster& with;
    const client& ask; ///< An instance that uses all the partitions. Outlives this.
    std::vector<raw_partition> partitions;
    std::chrono::milliseconds session_timeout, compare_interval;
    /// What to compare; called on the thread.
    std::function<std::vector<remembered_record>()> remembered;
    /// True once what is before these ends was read.
    std::function<bool(const std::vector<std::int64_t>& ends)> reached;
    /// The partitions are not what they were. At most once.
    std::function<void(const std::string& why)> on_lost;
    std::function<void(int level, std::string_view line)> log;
    /// A barrier that is not reached after so long ends with false.
    std::chrono::milliseconds barrier_timeout{10'000};
  };
  explicit watch(options with);
  /// Barriers that wait end with false.
  ~watch();
  watch(const watch&) = delete;
  watch& operator=(const watch&) = delete;

  /// Any thread. `done` is told whether everything was read in time; it is called on this object's
  /// thread or on that of check_barriers().
  void barrier(std::function<void(bool)> done);
  /// Ends the barriers that were reached. Call it after something was read.
  void check_barriers();
  /// A broker has answered just now.
  void note_contact();
  /// Something points to another leader: compare soon.
  void suspect() { suspected_ = true; }
  std::chrono::milliseconds contact() const;
  std::uint64_t rounds() const { return rounds_; }

private:
  using clock = std::chrono::steady_clock;
  struct round {
    std::vector<std::int64_t> ends;
    clock::time_point deadline;
    std::vector<std::function<void(bool)>> waiting;
  };

  void run();
  void serve_barriers();
  void look_at_brokers();
  void compare_if_due();

  const options options_;
  const std::chrono::milliseconds beat_;
  std::atomic<clock::rep> last_contact_;
  std::atomic<std::uint64_t> rounds_{0};
  std::atomic<bool> suspected_{false};

  // The thread's own.
  std::vector<std::int32_t> leaders_;
  clock::time_point compared_;
  seen_time gone_, shorter_; // The topics, and what is at their ends.
  bool lost_ = false;

  std::mutex mutex_; ///< Guards what follows.
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<std::function<void(bool)>> asking_; ///< For the next round.
  std::vector<round> reading_;                    ///< Rounds whose ends are not reached yet.
  std::thread thread_;
};

} // namespace runledger::kafka
