#include "projections/runner.hpp"

#include "projections/online_rebuild.hpp"

#include "projections/view_store.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace runledger::views {

namespace {

using steady = std::chrono::steady_clock;
constexpr auto first_retry = std::chrono::milliseconds{50};
constexpr auto longest_retry = std::chrono::milliseconds{2000};

} // namespace

struct view_runner::state {
  /// Where the runner sleeps and who may wake it. Shared with the log's listener, which may still
  /// be under way when the runner is gone.
  struct alarm {
    std::mutex mutex;
    std::condition_variable wake;
    std::atomic<bool> idle{false}; ///< The runner has folded everything and sleeps until an append.
    bool rung = false;             ///< Guarded by mutex.

    void ring() {
      std::lock_guard guard{mutex};
      rung = true;
      wake.notify_one();
    }
    /// From the appending thread, after each group: nothing but a load while the runner is awake.
    void appended() {
      if (idle.load(std::memory_order_seq_cst))
        ring();
    }
  };

  struct waiter {
    std::vector<std::pair<std::uint32_t, std::int64_t>> targets;
    std::function<void()> done;
  };

  event_log& log;
  runner_options options;
  std::shared_ptr<alarm> bell = std::make_shared<alarm>();
  std::function<void(const change_set&)> listener;
  std::thread thread;
  std::atomic<bool> stopping{false};
  replaced_file replaced;
  std::vector<std::atomic<std::int64_t>> positions;
  online_rebuild beside; // Reads them.

  std::mutex mutex; ///< Guards what follows.
  std::vector<waiter> waiters;
  std::vector<std::function<void()>> ready_waiters;
  std::optional<std::string> failure;
  std::atomic<bool> ready{false};
  std::atomic<bool> waited_for{false};

  // The runner's thread alone.
  std::unique_ptr<view_store> store;
  std::vector<std::int64_t> ends_at_start;
  steady::time_point last_commit{};
  std::size_t last_batch = 0; ///< Events in it.

  state(event_log& l, runner_options o)
      : log(l),
        options(std::move(o)),
        positions(l.partition_count()),
        beside(
            options.path, l, [this] { return published(); }, [bell = bell] { bell->ring(); }) {}

  offsets published() const {
    offsets out;
    for (const auto& each : positions)
      out.push_back(each.load(std::memory_order_acquire));
    return out;
  }

  bool reached(const waiter& w) const {
    return std::ranges::all_of(w.targets, [&](const auto& target) {
      return target.first >= positions.size()
             || positions[target.first].load(std::memory_order_acquire) >= target.second;
    });
  }

  void report(std::optional<std::string> why) {
    std::lock_guard guard{mutex};
    failure = std::move(why);
  }

  /// Sleeps until the time has come, or until somebody rings (an append while idle, a waiter,
  /// stop).
  void sleep_until(std::optional<steady::time_point> when) {
    std::unique_lock guard{bell->mutex};
    auto rung = [&] { return bell->rung; };
    if (when)
      bell->wake.wait_until(guard, *when, rung);
    else
      bell->wake.wait(guard, rung);
    bell->rung = false;
  }

  void pause(std::chrono::milliseconds delay) {
    auto until = steady::now() + delay;
    while (!stopping && steady::now() < until)
      sleep_until(until);
  }

  bool behind() const {
    for (std::uint32_t p = 0; p < positions.size(); ++p)
      if (positions[p].load(std::memory_order_relaxed) < log.end_offset(p))
        return true;
    return false;
  }

  void wait_for_work() {
    bell->idle.store(true, std::memory_order_seq_cst);
    while (!stopping && !behind() && !beside.waits())
      sleep_until(std::nullopt);
    bell->idle.store(false, std::memory_order_relaxed);
  }

  /// Under load the next commit waits a little, so that more events share it.
  void keep_pace() {
    auto next =
        last_commit + (last_batch >= options.busy_events ? options.busy_pace : options.pace);
    while (!stopping && !waited_for.load(std::memory_order_acquire) && steady::now() < next)
      sleep_until(next);
  }

  // Opening.

  std::optional<std::string> open_store() {
    if (auto why = distrust(options.path, log)) {
      // Once readers are let in, no file may be ahead of what they were told.
      auto made = views::rebuild(options.path, log, {[this] { return stopping.load(); }, {}},
                                 ready ? published() : ends_of(log));
      if (!made)
        return made.error();
    }
    remove_beside(options.path); // Of a rebuild that nobody goes on with.
    return open_live();
  }

  std::optional<std::string> open_live() {
    if (auto done = unmark_clean(options.path); !done)
      return done.error();
    auto opened = view_store::open(options.path, writing::live);
    if (!opened)
      return opened.error().message;
    if (auto done = (*opened)->adopt_boot(); !done)
      return done.error().message;
    store = std::move(*opened);
    for (std::uint32_t p = 0; p < positions.size(); ++p)
      positions[p].store(store->next_offset(p), std::memory_order_release);
    return std::nullopt;
  }

  void open() {
    auto delay = first_retry;
    while (!stopping) {
      auto why = open_store();
      report(why);
      if (!why)
        return;
      pause(delay);
      delay = std::min(delay * 2, longest_retry);
    }
  }

  /// Keeps the waiter, or calls it if there is nothing to wait for.
  void wait(waiter w) {
    {
      std::lock_guard guard{mutex};
      if (!reached(w)) {
        waiters.push_back(std::move(w));
        waited_for = true;
        bell->ring();
        return;
      }
    }
    w.done();
  }

  // Folding.

  /// Takes what is there, once. Nothing on success, else why not.
  std::optional<std::string> step() {
    std::vector<record_ptr> batch;
    std::vector<std::int64_t> reached(positions.size());
    for (std::uint32_t p = 0; p < positions.size(); ++p) {
      auto from = positions[p].load(std::memory_order_relaxed);
      auto end = log.end_offset(p);
      reached[p] = from;
      if (from >= end || batch.size() >= options.batch_events)
        continue;
      auto records = log.read_partition(p, from, options.batch_events - batch.size());
      if (!records)
        return "the ledger cannot be read: " + records.error().detail;
      // Nothing accepted up to the end: what stands there is skipped by everybody.
      reached[p] = records->empty() ? end : records->back()->offset + 1;
      batch.insert(batch.end(), records->begin(), records->end());
    }
    if (auto done = store->apply(batch); !done)
      return "the views cannot be written: " + done.error().message;
    last_commit = steady::now();
    last_batch = batch.size();
    if (listener && !store->changes().empty())
      listener(store->changes());
    publish(reached);
    return std::nullopt;
  }

  void publish(const std::vector<std::int64_t>& reached_offsets) {
    std::vector<std::function<void()>> calls;
    {
      std::lock_guard guard{mutex};
      for (std::size_t p = 0; p < positions.size(); ++p)
        positions[p].store(reached_offsets[p], std::memory_order_release);
      const auto done = std::partition(waiters.begin(), waiters.end(),
                                       [&](const waiter& w) { return !reached(w); });
      for (auto w = done; w != waiters.end(); ++w)
        calls.push_back(std::move(w->done));
      waiters.erase(done, waiters.end());
      waited_for.store(!waiters.empty(), std::memory_order_release);
      if (!ready && caught_up_with(ends_at_start)) {
        ready = true;
        calls.insert(calls.end(), std::make_move_iterator(ready_waiters.begin()),
                     std::make_move_iterator(ready_waiters.end()));
        ready_waiters.clear();
      }
    }
    for (auto& call : calls)
      call();
  }

  bool caught_up_with(const std::vector<std::int64_t>& ends) const {
    for (std::size_t p = 0; p < ends.size(); ++p)
      if (positions[p].load(std::memory_order_relaxed) < ends[p])
        return false;
    return true;
  }

  void run() {
    open();
    auto delay = first_retry;
    while (!stopping) {
      auto why = step();
      report(why);
      if (why) {
        pause(delay);
        delay = std::min(delay * 2, longest_retry);
        continue;
      }
      delay = first_retry;
      if (beside.waits())
        replace();
      wait_for_work();
      keep_pace();
    }
    close();
  }

  // Replacing.

  /// The file beside is nearly as far as the live one: goes the rest, and takes its place.
  void replace() {
    std::unique_lock<std::shared_mutex> alone;
    const auto done = beside.finish(published(), [&] {
      alone = std::unique_lock{replaced.turn};
      store.reset();
    });
    if (!store) {
      auto why = open_live();
      report(why);
      if (why) {
        alone = {};
        open(); // Until it can be opened again.
      }
      replaced.count.fetch_add(1, std::memory_order_release);
    }
    alone = {};
    change_set everything;
    everything.keys = everything.workspaces = true;
    if (done && listener)
      listener(everything);
    beside.ended(done);
  }

  void close() {
    beside.stop();
    if (!store)
      return;
    auto synced = store->sync();
    store.reset();
    if (synced && *synced) [[maybe_unused]]
      auto marked = mark_clean(options.path); // Unmarked costs a rebuild at worst.
  }
};

view_runner::view_runner(event_log& log, runner_options options)
    : state_(std::make_unique<state>(log, std::move(options))) {}

view_runner::~view_runner() {
  stop();
}

void view_runner::on_change(std::function<void(const change_set&)> listener) {
  state_->listener = std::move(listener);
}

void view_runner::on_rebuilt(std::function<void(const result<rebuilt, std::string>&)> listener) {
  state_->beside.on_end(std::move(listener));
}

void view_runner::start() {
  auto& s = *state_;
  for (std::uint32_t p = 0; p < s.positions.size(); ++p)
    s.ends_at_start.push_back(s.log.end_offset(p));
  s.log.on_append([bell = s.bell] { bell->appended(); });
  s.thread = std::thread{[&s] { s.run(); }};
}

void view_runner::stop() {
  auto& s = *state_;
  if (!s.thread.joinable())
    return;
  s.stopping = true;
  s.bell->ring();
  s.thread.join();
  s.log.on_append({});
  std::lock_guard guard{s.mutex};
  s.waiters.clear();
  s.ready_waiters.clear();
}

void view_runner::when_ready(std::function<void()> done) {
  {
    std::lock_guard guard{state_->mutex};
    if (!state_->ready) {
      state_->ready_waiters.push_back(std::move(done));
      return;
    }
  }
  done();
}

bool view_runner::ready() const {
  return state_->ready;
}

std::int64_t view_runner::position(std::uint32_t partition) const {
  return state_->positions.at(partition).load(std::memory_order_acquire);
}

std::uint64_t view_runner::lag() const {
  std::int64_t behind = 0;
  for (std::uint32_t p = 0; p < state_->positions.size(); ++p)
    behind += std::max<std::int64_t>(0, state_->log.end_offset(p) - position(p));
  return static_cast<std::uint64_t>(behind);
}

bool view_runner::caught_up() const {
  return state_->ready && !state_->behind();
}

void view_runner::when_caught_up(std::uint32_t partition, std::int64_t target,
                                 std::function<void()> done) {
  state_->wait({{{partition, target}}, std::move(done)});
}

void view_runner::when_caught_up(std::function<void()> done) {
  state::waiter w{{}, std::move(done)};
  for (std::uint32_t p = 0; p < state_->positions.size(); ++p)
    w.targets.emplace_back(p, state_->log.end_offset(p));
  state_->wait(std::move(w));
}

bool view_runner::rebuild() {
  return state_->ready && state_->beside.start();
}

rebuild_status view_runner::rebuilding() const {
  return state_->beside.status();
}

replaced_file& view_runner::replaced() {
  return state_->replaced;
}

std::optional<std::string> view_runner::failure() const {
  std::lock_guard guard{state_->mutex};
  return state_->failure;
}

} // namespace runledger::views
