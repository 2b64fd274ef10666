#pragma once

#include "actors/services.hpp"

#include <atomic>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace runledger {

/// The runs that wait in a queue: in line, first in, first out; those whose lease is just being
/// written; and those that are put off until the next tick. Counts the first two as `queued_runs`.
/// The queue's actor's alone; no fact of the ledger.
class queue_waiters {
public:
  explicit queue_waiters(engine_counters& counters) : counters_(counters) {}

  /// None waits, in whatever way.
  bool empty() const { return line_.empty() && granting_.empty() && postponed_.empty(); }
  bool line_is_empty() const { return line_.empty(); }
  bool any_postponed() const { return !postponed_.empty(); }
  /// Null: the run does not stand in line, and no lease is being written for it.
  const queued_run* find(const std::string& run) const;

  /// What is known of a run that waits is renewed, and it keeps its place. False: it does not wait.
  bool renew(queued_run_ptr& run);
  void add(queued_run_ptr run);
  /// Takes the first out of the line: its lease is being written. granted() or postpone() follows.
  queued_run_ptr begin_grant();
  void granted(const std::string& run);
  void postpone(queued_run_ptr run);
  std::list<queued_run_ptr> take_postponed() { return std::exchange(postponed_, {}); }

  /// Out of the line, unless it waits by now through another line from another process, or through
  /// none. False: it did not stand there.
  bool forget(const run_id& run, const run_actor& line);
  /// All that came over this line.
  void forget_line(const run_actor& line);
  /// Empties the line. Those of this process, in their order; other ones are asked for again.
  std::list<queued_run_ptr> leave();
  /// The actor ends.
  void clear();

private:
  void count(std::int64_t by) {
    counters_.queued_runs.fetch_add(static_cast<std::uint64_t>(by), std::memory_order_relaxed);
  }

  engine_counters& counters_;
  std::list<queued_run_ptr> line_;
  std::unordered_map<std::string, std::list<queued_run_ptr>::iterator> places_; // In it, by run.
  std::list<queued_run_ptr> postponed_;
  std::unordered_map<std::string, queued_run_ptr> granting_; // The order's too.
};

// What the ledger says of runs that wait or have a lease. What cannot be read is taken for nothing.

/// The attempt that the run begins next. A session does not know how often its run was tried.
std::int64_t attempt_to_begin(const event_log& log, const dispatch_entry& entry);
/// Whether this attempt is under way.
bool attempt_goes_on(const event_log& log, const run_id& run, std::int64_t attempt);
/// Why the lease of a run that has ended is released; nothing: it has not ended.
std::optional<std::string> end_of_run(const event_log& log, const run_id& run);

} // namespace runledger
