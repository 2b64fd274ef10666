#pragma once

#include "events/log/event_log.hpp"
#include "events/result.hpp"
#include "projections/projection.hpp"
#include "projections/rebuild.hpp"
#include "projections/replaced_file.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace runledger::views {

struct runner_options {
  std::string path; ///< DATA/views.db
  std::size_t batch_events = 16384;
  /// Under load at most one commit in this time, so that the events of a run share one; whoever
  /// waits in when_caught_up ends it, and after a pause the first event is committed at once.
  std::chrono::milliseconds pace{4};
  /// The same where a commit held `busy_events` or more: what a row goes through meanwhile is
  /// written once.
  std::chrono::milliseconds busy_pace{25};
  std::size_t busy_events = 96;
};

/// Keeps the views up to date: one thread that tails the log and is asleep when nothing is
/// appended.
///
/// Threads: all functions from any thread; callbacks come on the runner's thread and must be brief.
/// The log must outlive it. It takes the log's on_append. Failure: if the views' file cannot be
/// written (disk full), it tries again with a growing delay and `failure()` says why; the position
/// stands still meanwhile.
class view_runner {
public:
  view_runner(event_log& log, runner_options options);
  /// stop().
  ~view_runner();
  view_runner(const view_runner&) = delete;
  view_runner& operator=(const view_runner&) = delete;

  /// Called after each commit with what it changed, before the position shows it: whoever is told
  /// by when_caught_up comes after the listener. Before start().
  void on_change(std::function<void(const change_set&)> listener);

  /// Starts the thread: it opens the file, or rebuilds it beside if it cannot be trusted or is of
  /// another version, and tails the log.
  void start();
  /// Folds nothing more, marks the file as cleanly ended, ends the thread. Waiting callbacks are
  /// dropped.
  void stop();

  /// `done` is called once the file can be opened by readers and holds what the ledger held at
  /// start(); at once if that is so already.
  void when_ready(std::function<void()> done);
  bool ready() const;

  /// The next offset that is not folded and committed yet.
  std::int64_t position(std::uint32_t partition = 0) const;
  /// Events of the ledger, over all partitions, that are not in the views yet.
  std::uint64_t lag() const;
  /// True if everything that is durable now is committed.
  bool caught_up() const;
  /// Calls `done` once the partition is committed up to `target` (an end_offset), at once and on
  /// the caller's thread if it is already. Ends the pace.
  void when_caught_up(std::uint32_t partition, std::int64_t target, std::function<void()> done);
  /// The same with all partitions' ends as they are now: read your writes.
  void when_caught_up(std::function<void()> done);

  /// Why the views stand still, if they do.
  std::optional<std::string> failure() const;

  /// Called after each rebuild(), on a thread of the runner's; a failure is one sentence. Before
  /// start().
  void on_rebuilt(std::function<void(const result<rebuilt, std::string>&)> listener);
  /// Begins to fold the ledger anew into a file beside, on a thread of its own, while the live
  /// views go on; it takes their place once it is as far as they are. False: one is under way
  /// already. If it fails, the live views stay as they are. stop() ends it.
  bool rebuild();
  rebuild_status rebuilding() const;
  /// For readers, to follow (view_reader::open).
  replaced_file& replaced();

private:
  struct state;
  std::unique_ptr<state> state_;
};

} // namespace runledger::views
