#pragma once

#include "projections/rebuild.hpp"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace runledger::views {

/// The part of a view_runner that folds the ledger anew while the live views go on.
///
/// A thread of its own, of low priority, builds the file beside until it is nearly as far as the
/// live views; then waits() is true, the runner's thread folds the little that is left and puts it
/// in place. Readers see the old file until then, the new one afterwards.
///
/// Threads: start() and status() from any; the rest on the runner's.
class online_rebuild {
public:
  using outcome = result<rebuilt, std::string>;

  /// `published`, from any thread, is how far the live views are and everybody has been told: the
  /// new file is never ahead of that, or what it holds more would never be told. `ring` wakes the
  /// runner. All of them must outlive this.
  online_rebuild(std::string path, const event_log& log, std::function<offsets()> published,
                 std::function<void()> ring);
  /// stop().
  ~online_rebuild();
  online_rebuild(const online_rebuild&) = delete;
  online_rebuild& operator=(const online_rebuild&) = delete;

  /// Before start(). Called on the runner's thread or this one's.
  void on_end(std::function<void(const outcome&)> listener);
  /// False: one is under way, or this was stopped.
  bool start();
  rebuild_status status() const;

  bool waits() const { return waits_.load(std::memory_order_acquire); }
  /// Folds the rest, up to where the live views are; then, with the live file closed by
  /// `close_live`, puts the new one in its place. On failure the live file is as it was.
  outcome finish(const offsets& reached, const std::function<void()>& close_live);
  /// After finish(), once readers can be let in.
  void ended(const outcome& how);
  /// Ends what is under way and removes its file.
  void stop();

private:
  void prepare();
  result<void, std::string> build(views_beside& beside);
  fold_watch watch_from(const views_beside& beside);

  const std::string path_;
  const event_log& log_;
  const std::function<offsets()> published_;
  const std::function<void()> ring_;
  std::function<void(const outcome&)> listener_;
  std::atomic<bool> waits_{false}, stopping_{false};
  std::atomic<std::uint64_t> done_{0}, total_{0};

  mutable std::mutex mutex_; ///< Guards what follows.
  bool under_way_ = false;
  std::string failure_;
  std::thread thread_;

  // Whoever has its turn: the thread until waits_, the runner from then on.
  std::optional<views_beside> beside_;
  rebuilt made_;
};

} // namespace runledger::views
