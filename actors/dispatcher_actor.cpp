#include "actors/dispatcher_actor.hpp"

#include "actors/version_recipe.hpp"
#include "actors/worker_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <list>
#include <map>
#include <unordered_map>

namespace runledger {

namespace {

using version_key = std::pair<std::string, std::int64_t>; // Agent and version.

/// A recipe as the dispatcher needs it; a null `how` with the reason why not.
struct known_recipe {
  std::shared_ptr<const recipe> how;
  std::string slug;
  failure problem;
};

struct waiting_run {
  std::uint64_t arrival = 0;
  dispatch_entry entry;
};

/// The runs of one agent version that wait, oldest first.
using lane = std::list<waiting_run>;

struct workspace_queue {
  std::map<version_key, lane> lanes;
  std::size_t size = 0;
};

struct slot {
  worker_id id;
  worker_actor worker;
  version_key serves;        // Empty agent: no process.
  std::int64_t capacity = 1; // Runs at once; 1 until the process said more.
  std::int64_t capacity_max = 1;
  std::map<std::string, std::uint64_t> runs; // With their grants.
  bool pooled = false, tainted = false, retiring = false;
  bool occupied() const { return !serves.first.empty(); }
};

/// A run of a queue.
struct remote_run {
  stream_id queue;
  session_id session;
};

/// A queue that is not held here is asked for after so long.
constexpr std::chrono::milliseconds ask_queues_after{1000};

class dispatcher final : public dispatcher_actor::base {
public:
  dispatcher(caf::actor_config& cfg, services_ptr s)
      : dispatcher_actor::base(cfg), services_(std::move(s)) {}

  behavior_type make_behavior() override {
    return {[this](dispatch_entry& entry) { enqueue(std::move(entry)); },
            [this](const slot_released& e) { on_released(e); },
            [this](const slot_ready& e) {
              slots_[e.slot].capacity =
                  std::clamp<std::int64_t>(e.max_runs, 1, slots_[e.slot].capacity_max);
              dispatch();
            },
            [this](const slot_tainted& e) { slots_[e.slot].tainted = true; },
            [this](const slot_empty& e) { on_empty(e); },
            [this](const forget_run& e) { forget(e.run); },
            [this](const recovery_begins&) { ++recoveries_; },
            [this](const recovery_over&) { begin(); },
            [this](const drop_what_is_not_held&) { drop_what_left(); },
            [this](queue_elsewhere& e) { wait_for_queue(std::move(e.run)); },
            [this](tick_atom) { ask_queues_again(); },
            [this](drain_slots& ask) { drain(std::move(ask)); }};
  }

  const char* name() const override { return "dispatcher"; }

  void on_exit() override {
    for (auto& one : slots_)
      caf::anon_send_exit(one.worker, caf::exit_reason::user_shutdown);
    slots_.clear();
    drained_.reset();
  }

private:
  struct place {
    std::optional<std::size_t> slot;    // Assigned.
    std::uint64_t grant = 0;            // Of the slot.
    std::optional<dispatch_entry> next; // Asked meanwhile, for when the slot is released.
    version_key lane;                   // Waiting.
    std::string workspace;
    std::list<waiting_run>::iterator at;
  };

  // -- the queue -------------------------------------------------------------------------------

  /// What was accepted first is first in line, whatever order the recovered streams wake in. What
  /// is new is behind all of that.
  void begin() {
    if (--recoveries_ > 0)
      return;
    std::ranges::stable_sort(recovered_, {}, [](const dispatch_entry& e) {
      return std::pair{e.accepted_ms, e.accepted_offset};
    });
    dispatching_ = true; // Until all stand in line.
    for (auto& entry : std::exchange(recovered_, {}))
      enqueue(std::move(entry));
    dispatching_ = false;
    dispatch();
  }

  void enqueue(dispatch_entry entry) {
    if (draining_)
      return; // The ledger remembers.
    if (recoveries_ > 0) {
      recovered_.push_back(std::move(entry));
      return;
    }
    const auto& how = recipe_of(entry.agent, entry.agent_version);
    if (how.how && !how.how->queue.empty())
      return to_remote(std::move(entry), how);
    auto known = runs_.find(entry.run.value);
    if (known != runs_.end()) {
      // The grant may still be on its way: then the run uses it or gives it back, and only one of
      // them counts.
      if (!known->second.slot)
        known->second.at->entry.alone |= entry.alone;
      else if (entry.again)
        known->second.next = std::move(entry);
      return;
    }
    auto& queue = queues_[entry.workspace.value];
    version_key key{entry.agent.value, entry.agent_version};
    auto& line = queue.lanes[key];
    place p;
    p.lane = key;
    p.workspace = entry.workspace.value;
    auto id = entry.run.value;
    if (line.size() > carried_max)
      entry.fact = nullptr, entry.accepting = nullptr; // A long queue keeps ids only.
    if (!entry.counted)
      caf::anon_send(services_->directory,
                     runs_waiting{entry.workspace, entry.session, {entry.run}});
    p.at = line.insert(line.end(), waiting_run{++arrivals_, std::move(entry)});
    runs_[id] = std::move(p);
    count(queue, +1);
    dispatch();
  }

  /// Its queue gives it to a worker elsewhere, and knows whether it waits already.
  void to_remote(dispatch_entry entry, const known_recipe& known) {
    if (!entry.counted)
      caf::anon_send(services_->directory,
                     runs_waiting{entry.workspace, entry.session, {entry.run}});
    hand_to_queue(
        std::make_shared<queued_run>(queued_run{std::move(entry), known.how, known.slug}));
  }

  void hand_to_queue(queued_run_ptr run) {
    auto stream = queue_stream_of(run->entry.workspace, run->how->queue);
    remote_.insert_or_assign(run->entry.run.value, remote_run{stream, run->entry.session});
    queue_message mail;
    mail.body = std::move(run);
    caf::anon_send(services_->directory, to_queue{std::move(stream), std::move(mail)});
  }

  /// It came back: no process here has its queue.
  void wait_for_queue(queued_run_ptr run) {
    if (!remote_.contains(run->entry.run.value) || has_left(run->entry.session))
      return; // It ended meanwhile, or is another process's.
    homeless_.push_back(std::move(run));
    if (homeless_.size() == 1)
      delayed_send(this, ask_queues_after, tick_atom_v);
  }

  void ask_queues_again() {
    for (auto& run : std::exchange(homeless_, {}))
      if (!draining_)
        hand_to_queue(std::move(run));
  }

  void forget(const run_id& run) {
    std::erase_if(homeless_, [&](const auto& one) { return one->entry.run == run; });
    if (auto remote = remote_.find(run.value); remote != remote_.end()) {
      caf::anon_send(services_->directory,
                     to_queue{std::move(remote->second.queue), queue_message{forget_run{run}}});
      remote_.erase(remote);
    }
    if (auto held = std::ranges::find(recovered_, run, &dispatch_entry::run);
        held != recovered_.end()) {
      caf::anon_send(services_->directory, run_left_queue{held->workspace, run});
      std::erase_if(recovered_, [&](const dispatch_entry& e) { return e.run == run; });
    }
    auto known = runs_.find(run.value);
    if (known == runs_.end())
      return;
    if (known->second.slot) {
      known->second.next.reset();
      return;
    }
    remove_waiting(known->second);
    caf::anon_send(services_->directory,
                   run_left_queue{workspace_id{known->second.workspace}, run});
    runs_.erase(known);
  }

  bool has_left(const session_id& session) const {
    const auto& mine = services_->partitions;
    const auto home = mine.home_of(stream_of(session), session.value);
    return !home || !mine.holds(*home);
  }

  /// Runs of partitions that other processes have now.
  void drop_what_left() {
    std::vector<run_id> gone;
    for (const auto& e : recovered_)
      if (has_left(e.session))
        gone.push_back(e.run);
    for (auto& [run, p] : runs_)
      if (p.slot ? p.next && has_left(p.next->session) : has_left(p.at->entry.session))
        gone.push_back(run_id{run});
    // Their queues are not told: the next holder of the session says the same run to them.
    std::erase_if(remote_, [this](const auto& one) { return has_left(one.second.session); });
    std::erase_if(homeless_, [this](const auto& one) { return has_left(one->entry.session); });
    for (const auto& run : gone)
      forget(run);
  }

  void remove_waiting(place& p) {
    auto& queue = queues_[p.workspace];
    auto line = queue.lanes.find(p.lane);
    line->second.erase(p.at);
    if (line->second.empty())
      queue.lanes.erase(line);
    count(queue, -1);
    if (queue.size == 0)
      queues_.erase(p.workspace);
  }

  void count(workspace_queue& queue, int by) {
    queue.size += static_cast<std::size_t>(by);
    services_->counters.queued_runs.fetch_add(static_cast<std::uint64_t>(by),
                                              std::memory_order_relaxed);
  }

  // -- giving out ------------------------------------------------------------------------------

  /// Serves the workspaces in turn until nothing more fits.
  void dispatch() {
    if (dispatching_ || draining_)
      return;
    dispatching_ = true;
    bool progress = true;
    while (progress && !queues_.empty()) {
      progress = false;
      auto next = queues_.upper_bound(last_served_);
      for (std::size_t i = queues_.size(); i > 0 && !progress; --i) {
        if (next == queues_.end())
          next = queues_.begin();
        last_served_ = next->first;
        progress = serve(next->second);
        if (!progress)
          ++next;
      }
    }
    dispatching_ = false;
  }

  /// Gives out the oldest run of this workspace that fits anywhere.
  bool serve(workspace_queue& queue) {
    std::vector<std::pair<std::uint64_t, lane*>> order;
    for (auto& [key, line] : queue.lanes)
      order.emplace_back(line.front().arrival, &line);
    std::ranges::sort(order, {}, &std::pair<std::uint64_t, lane*>::first);
    for (auto& [arrival, line] : order)
      if (give(line->front().entry))
        return true;
    return false;
  }

  bool give(const dispatch_entry& waiting) {
    const auto& known = recipe_of(waiting.agent, waiting.agent_version);
    auto free = slot_for(waiting, known);
    if (!free)
      return false;
    auto entry = waiting;
    auto& p = runs_[entry.run.value];
    remove_waiting(p);
    p.slot = *free;
    auto& one = slots_[*free];
    p.grant = ++grants_;
    one.runs[entry.run.value] = p.grant;
    services_->counters.running_runs.fetch_add(1, std::memory_order_relaxed);
    run_mail mail;
    mail.workspace = entry.workspace;
    mail.session = entry.session;
    auto run = entry.run;
    mail.body = std::make_shared<run_granted>(run_granted{
        std::move(entry), p.grant, one.id, one.worker, known.how, known.problem, known.slug, {}});
    caf::anon_send(services_->directory, to_run{run, std::move(mail)});
    return true;
  }

  /// A process of the run's pool with room, else an empty slot, else a slot that can be freed (then
  /// later).
  std::optional<std::size_t> slot_for(const dispatch_entry& entry, const known_recipe& known) {
    version_key key{entry.agent.value, entry.agent_version};
    bool pooled = known.how && known.how->pool && !entry.alone;
    std::int64_t processes = 0;
    for (std::size_t i = 0; pooled && i < slots_.size(); ++i) {
      auto& one = slots_[i];
      if (!one.pooled || one.serves != key)
        continue;
      if (!one.tainted && !one.retiring
          && static_cast<std::int64_t>(one.runs.size()) < one.capacity)
        return i;
      processes += one.tainted || one.retiring ? 0 : 1;
    }
    if (pooled && processes >= known.how->pool->max_processes)
      return std::nullopt;
    auto free = empty_slot();
    if (!free) {
      retire_idle_pool();
      return std::nullopt;
    }
    auto& one = slots_[*free];
    one.serves = key;
    one.pooled = pooled;
    one.capacity = 1;
    one.capacity_max = pooled ? known.how->pool->max_runs_per_process : 1;
    one.tainted = one.retiring = false;
    return free;
  }

  std::optional<std::size_t> empty_slot() {
    for (std::size_t i = 0; i < slots_.size(); ++i)
      if (!slots_[i].occupied())
        return i;
    if (slots_.size() >= services_->settings.max_running)
      return std::nullopt;
    auto index = slots_.size();
    slot one;
    one.id = worker_id{"wrk_"
                       + derive_ulid({"worker", services_->ledger_id, services_->settings.node,
                                      std::to_string(index)})};
    one.worker = spawn_worker(system(), services_, one.id, index);
    slots_.push_back(std::move(one));
    return index;
  }

  /// A warm process that nobody uses makes room for another agent.
  void retire_idle_pool() {
    auto idle = std::ranges::find_if(
        slots_, [](const slot& s) { return s.pooled && s.runs.empty() && !s.retiring; });
    if (idle == slots_.end())
      return;
    idle->retiring = true;
    caf::anon_send(idle->worker, worker_mail{retire{}});
  }

  // -- coming back -----------------------------------------------------------------------------

  void on_released(const slot_released& e) {
    auto known = runs_.find(e.run.value);
    if (known == runs_.end() || known->second.slot != e.slot || known->second.grant != e.grant)
      return; // Released before.
    auto next = std::move(known->second.next);
    runs_.erase(known);
    vacate(e.slot, e.run);
    if (next)
      enqueue(std::move(*next));
    dispatch();
  }

  void vacate(std::size_t index, const run_id& run) {
    auto& one = slots_[index];
    one.runs.erase(run.value);
    services_->counters.running_runs.fetch_sub(1, std::memory_order_relaxed);
    // A run that was given a slot and never began leaves no process behind that could report its
    // end.
    if (one.runs.empty())
      caf::anon_send(one.worker, worker_mail{retire_if_unused()});
  }

  retire retire_if_unused() const { return retire{0, false, true}; }

  void on_empty(const slot_empty& e) {
    auto& one = slots_[e.slot];
    if (!one.runs.empty())
      return; // Somebody was given this slot meanwhile; its process starts or has started.
    one.serves = {};
    one.pooled = one.tainted = one.retiring = false;
    one.capacity = 1;
    tell_drained();
    dispatch();
  }

  void drain(drain_slots ask) {
    draining_ = true;
    services_->counters.draining.store(true);
    drained_ = std::move(ask.over);
    for (auto& one : slots_)
      if (one.occupied())
        caf::anon_send(one.worker, worker_mail{retire{services_->settings.drain_ms, true, false}});
    tell_drained();
  }

  void tell_drained() {
    if (drained_ && std::ranges::none_of(slots_, &slot::occupied))
      std::exchange(drained_, nullptr)->set_value();
  }

  // -- recipes ---------------------------------------------------------------------------------

  /// A version that can run is immutable, so what was read once stays.
  const known_recipe& recipe_of(const agent_id& agent, std::int64_t version) {
    version_key key{agent.value, version};
    auto found = recipes_.find(key);
    if (found != recipes_.end() && found->second.how)
      return found->second;
    return recipes_[key] = read_known(agent, version);
  }

  known_recipe read_known(const agent_id& agent, std::int64_t version) {
    auto read = read_recipe(services_->log, services_->blobs, agent, version,
                            services_->settings.recipe_defaults);
    if (!read)
      return {nullptr, {}, read.error()};
    auto problem = refused_here(read->how);
    return {std::make_shared<const recipe>(std::move(read->how)), std::move(read->agent_slug),
            std::move(problem)};
  }

  /// The sandbox mode is checked again: the settings may have changed since. So are mounts, by the
  /// sandbox, each time a process starts.
  failure refused_here(const recipe& how) const {
    if (how.queue.empty() && how.sandbox == "none" && !services_->settings.sandbox_allow_none)
      return {"sandbox_refused",
              "This server does not run agents without a sandbox (sandbox.allow_none)."};
    return {};
  }

  static constexpr std::size_t carried_max =
      1000; // Waiting runs per lane that keep their input in memory.

  services_ptr services_;
  std::map<std::string, workspace_queue> queues_;
  std::unordered_map<std::string, place> runs_;
  std::unordered_map<std::string, remote_run> remote_; // Runs, until they end.
  std::list<queued_run_ptr> homeless_;                 // Among them: whose queue is not held here.
  std::vector<slot> slots_;
  std::map<version_key, known_recipe> recipes_;
  std::string last_served_;
  std::uint64_t arrivals_ = 0, grants_ = 0;
  std::vector<dispatch_entry> recovered_; // Until the last of them has come.
  int recoveries_ = 0;                    // Under way.
  bool dispatching_ = false, draining_ = false;
  std::shared_ptr<std::promise<void>> drained_; // Until no slot is occupied.
};

} // namespace

dispatcher_actor spawn_dispatcher(caf::actor_system& sys, services_ptr s) {
  return sys.spawn<dispatcher>(std::move(s));
}

} // namespace runledger
