#include "actors/queue_actor.hpp"

#include "actors/entity_shell.hpp"
#include "actors/queue_member.hpp"
#include "actors/queue_waiters.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

namespace runledger {

namespace {

constexpr std::int64_t ticks_per_lease = 4;
constexpr std::size_t early_max = 10'000; // Frames of a run that is not back yet.
/// What may wait for a worker once another run begins there; the rest is for what follows.
constexpr std::size_t waiting_for_worker_max = worker_link::undelivered_max / 4 * 3;

/// A command for the queue's own stream, with what its effects need.
struct queue_order {
  queue::command command;
  queued_run_ptr run;                  ///< With grant.
  std::shared_ptr<attach_worker> join; ///< With join.
  std::vector<queue::event> facts;     ///< Set by the actor between decision and commit.
  std::optional<queue::rejection> refused;
};

class queue_impl final : public queue_actor::base,
                         public entity_shell<queue_impl, queue_traits, queue_order> {
public:
  using shell = entity_shell<queue_impl, queue_traits, queue_order>;
  friend shell;

  queue_impl(caf::actor_config& cfg, services_ptr s, stream_id stream)
      : queue_actor::base(cfg), shell(std::move(s), std::move(stream)) {
    auto slash = stream_.value.find('/', queue_prefix.size());
    workspace_ =
        workspace_id{stream_.value.substr(queue_prefix.size(), slash - queue_prefix.size())};
    name_ = stream_.value.substr(slash + 1);
  }

  behavior_type make_behavior() override {
    load();
    remember_workers();
    return {[this](worker_mail& mail) {
              std::visit(overloaded{[&](begin_run& ask) { on(ask); },
                                    [&](write_lines& ask) { on(ask); },
                                    [&](finish_run& ask) { on(ask); }, [](auto&) {}},
                         mail.body);
            },
            [this](const append_done& done) {
              on_append_done(done);
              for (auto& word : std::exchange(undecided_, {}))
                on(word);
            },
            [this](tick_atom, std::uint64_t) { tick(); },
            [this](queue_message& mail) {
              if (mail.line)
                from_line(mail);
              else
                std::visit([&](auto& body) { on(body); }, mail.body);
              rest();
            },
            [this](leave_atom) { leave(); },
            [this](yield_atom) { yield(); }};
  }

  const char* name() const override { return "queue"; }
  void on_exit() override {
    for (auto& [id, one] : members_)
      drop_link(one, "the server ends");
    members_.clear();
    leases_.clear();
    waiters_.clear();
    undecided_.clear();
    lines_.clear();
    drop_mail();
  }

private:
  static constexpr std::string_view queue_prefix = "queue/";

  using member = queue_member;
  using held = lease_here;

  // -- runs that wait --------------------------------------------------------------------------

  void on(std::monostate&) {}

  /// Who said last where the run is knows. A process that was overtaken without noticing has no
  /// say.
  void on(queued_run_ptr& asked) {
    const auto run = asked->entry.run.value;
    if (asked->epoch < epoch_of(run) || waiters_.renew(asked))
      return;
    if (auto old = state_.leases.find(run); old != state_.leases.end()) {
      if (asked->line && leases_[run].told == asked->line)
        return; // It said so before it heard of the lease.
      if (!asked->line && !asked->entry.again
          && attempt_goes_on(services_->log, asked->entry.run, old->second.attempt))
        return; // After a restart sessions hand their current turns out again.
      order(queue::release{asked->entry.run, old->second.epoch, "superseded"});
    }
    waiters_.add(std::move(asked));
    match();
  }

  std::uint64_t epoch_of(const std::string& run) const {
    if (const auto* waiting = waiters_.find(run))
      return waiting->epoch;
    auto here = leases_.find(run);
    return here == leases_.end() ? 0 : here->second.epoch;
  }

  void on(forget_run& e) { forget(e.run, {}); }

  void forget(const run_id& run, const run_actor& line) {
    if (waiters_.forget(run, line) && !line)
      caf::anon_send(services_->directory, run_left_queue{workspace_, run});
  }

  /// Gives waiting runs to workers with room.
  void match() {
    if (matching_)
      return;
    matching_ = true;
    while (!waiters_.line_is_empty() && !broken_ && !services_->counters.draining.load()) {
      auto free = freest();
      if (free == members_.end())
        break;
      auto run = waiters_.begin_grant();
      free->second.taken.insert(run->entry.run.value);
      queue::grant ask{run->entry.run, worker_id{free->first},
                       attempt_to_begin(services_->log, run->entry)};
      take({std::move(ask), std::move(run), {}, {}, {}});
    }
    matching_ = false;
  }

  using members = std::map<std::string, member>;
  members::iterator freest() {
    auto best = members_.end();
    std::int64_t most = 0;
    for (auto at = members_.begin(); at != members_.end(); ++at) {
      const auto& one = at->second;
      auto room = one.slots - static_cast<std::int64_t>(one.taken.size());
      if (one.link && !one.ending && room > most) {
        most = room;
        best = at;
      }
    }
    return best;
  }

  // -- from runs -------------------------------------------------------------------------------

  void on(begin_run& ask) {
    const auto* lease = find_lease(ask.run, ask.grant);
    if (lease == nullptr)
      return tell_gone(ask.run, ask.by, ask.attempt, lease_is_lost());
    auto& worker = members_[lease->worker.value];
    if (crowded(worker, ask.lines.size())) {
      tell_gone(ask.run, ask.by, ask.attempt,
                {"worker_busy", "The worker has not read what it was sent before."});
      return order(queue::release{ask.run, lease->epoch, "returned"});
    }
    auto& here = leases_[ask.run.value];
    if (here.by && here.by != ask.by) // Its next holder was faster.
      return tell_gone(ask.run, ask.by, ask.attempt, lease_is_lost());
    here.by = ask.by;
    here.begun = true;
    here.told = nullptr;
    worker.holds.insert(ask.run.value);
    harness::granted_lease granted;
    granted.lease = {ask.run.value, lease->epoch};
    granted.attempt = ask.attempt;
    granted.heartbeat_ms = ask.how->heartbeat_ms;
    granted.drain_ms = ask.how->drain_ms;
    granted.environment = std::move(ask.environment);
    deliver(worker, harness::lease_granted_line(granted) + ask.lines);
  }

  /// Several long beginnings at once would look as if the worker did not read. A single one always
  /// finds room (remote_beginning_max).
  static bool crowded(const member& worker, std::size_t bytes) {
    return worker.link && worker.link->undelivered() + bytes > waiting_for_worker_max;
  }

  void on(write_lines& ask) {
    auto lease = state_.leases.find(ask.run.value);
    if (lease != state_.leases.end())
      deliver(members_[lease->second.worker.value], std::move(ask.lines));
  }

  /// The run needs its worker no more.
  void on(finish_run& ask) {
    auto here = leases_.find(ask.run.value);
    const bool is_its_own = here != leases_.end() && here->second.by == ask.by;
    if (ask.moves && is_its_own)
      return part(ask.run.value, here->second);
    // A process that has lost the run to another one has no say in it any more.
    if (ask.moves || (ask.by && here != leases_.end() && here->second.by && !is_its_own))
      return;
    order(queue::release{ask.run, static_cast<std::int64_t>(ask.grant),
                         ask.clean ? "done" : "cut_off"});
  }

  /// A run came back after a restart of the server.
  void on(resume_lease& ask) {
    auto found = state_.leases.find(ask.run.value);
    if (found == state_.leases.end() || found->second.attempt != ask.attempt)
      return tell_gone(ask.run, ask.by, ask.attempt, lease_is_lost());
    const auto lease = found->second;
    auto& here = leases_[ask.run.value];
    if (ask.epoch < here.epoch)
      return;
    if (here.by && here.by != ask.by) // What was said to the earlier one may be on its way there.
      part(ask.run.value, here);
    here.epoch = ask.epoch;
    here.by = ask.by;
    here.begun = true;
    here.told = nullptr;
    run_mail mail;
    mail.body = lease_resumed{static_cast<std::uint64_t>(lease.epoch), ask.attempt,
                              caf::actor_cast<worker_actor>(this)};
    tell(ask.run, here.by, std::move(mail));
    for (auto& early : std::exchange(here.early, {}))
      tell(ask.run, here.by, std::move(early));
    check_held(ask.run.value, lease);
  }

  // -- from runs of other processes ------------------------------------------------------------

  void from_line(queue_message& mail) {
    std::visit(overloaded{[&](forget_run& e) { forget(e.run, mail.line); },
                          [&](line_is_over&) { lose(mail.line); },
                          [&](auto& body) {
                            lines_.insert(mail.line);
                            on(body);
                          }},
               mail.body);
  }
  void on(line_is_over&) {}

  /// As if that process had ended: its runs come back through another line, or from elsewhere.
  void lose(const run_actor& line) {
    lines_.erase(line);
    waiters_.forget_line(line);
    for (auto& [run, here] : leases_) {
      if (here.told == line)
        here.told = nullptr;
      if (here.by == line)
        part(run, here);
    }
  }

  /// The run goes to another process. What its worker said may have been lost on the way there: it
  /// comes back and says it again.
  void part(const std::string& run, held& here) {
    here.by = nullptr;
    if (auto lease = state_.leases.find(run); lease != state_.leases.end())
      if (auto one = members_.find(lease->second.worker.value); one != members_.end())
        drop_link(one->second, "the run goes on elsewhere");
  }

  /// Nobody tells the end of a run that is with nobody, or of one of another process that ended
  /// before it heard of its lease.
  void look_for_ends() {
    for (const auto& [run, lease] : std::map{state_.leases})
      if (auto here = leases_.find(run);
          here != leases_.end() && (!here->second.by || lines_.contains(here->second.by)))
        release_if_ended(run, lease);
  }
  void release_if_ended(const std::string& run, const queue::lease& lease) {
    if (auto reason = end_of_run(services_->log, run_id{run}))
      order(queue::release{run_id{run}, lease.epoch, std::move(*reason)});
  }

  /// Lines end with the queue, and runs of this process ask for their leases where it goes.
  void send_away() {
    for (const auto& line : std::exchange(lines_, {}))
      caf::anon_send(line, leave_atom_v);
  }
  void tell_moved() {
    for (const auto& [run, here] : leases_)
      if (auto lease = state_.leases.find(run); lease != state_.leases.end()) {
        run_mail mail;
        mail.body = queue_moved{static_cast<std::uint64_t>(lease->second.epoch)};
        caf::anon_send(services_->directory, to_run{run_id{run}, std::move(mail)});
      }
  }

  const queue::lease* find_lease(const run_id& run, std::uint64_t grant) const {
    return queue::find(state_, run.value, static_cast<std::int64_t>(grant));
  }

  /// A lease whose beginning got lost on the way to a worker that is here is over.
  void check_held(const std::string& run, const queue::lease& lease) {
    const auto& worker = members_[lease.worker.value];
    if (worker.link && leases_[run].begun && !worker.holds.contains(run))
      order(queue::release{run_id{run}, lease.epoch, "lost"});
  }

  // -- from workers ----------------------------------------------------------------------------

  void on(std::shared_ptr<attach_worker>& asked) {
    auto& ask = asked->request;
    worker_id id{"wrk_" + derive_ulid({"remote-worker", stream_.value, ask.token})};
    queue::join command{std::move(id), ask.title, ask.slots};
    // One that offers nothing (it drains, and comes back) is no news to the ledger.
    if (auto known = state_.workers.find(command.worker.value); known != state_.workers.end())
      command.slots = std::max(command.slots, known->second.slots);
    take({std::move(command), {}, std::move(asked), {}, {}});
  }

  void attached(const worker_id& id, attach_worker& asked) {
    auto& ask = asked.request;
    auto& one = members_[id.value];
    drop_link(one, "the worker has a newer connection");
    one.link = ask.link;
    one.slots = ask.slots;
    one.silent_ticks = 0;
    one.ending = false;
    one.holds.clear();
    std::string over;
    std::vector<std::string> back;
    for (const auto& held : ask.leases) {
      const auto* lease = queue::find(state_, held.run, held.epoch);
      if (lease != nullptr && lease->worker == id) {
        one.holds.insert(held.run);
        back.push_back(held.run);
      } else {
        over += harness::lease_ended_line(held, "lost");
      }
    }
    keep_ticking();
    auto self = caf::actor_cast<queue_actor>(this);
    asked.to(attached_worker{id, services_->settings.lease_ms,
                             [self, id, by = ask.link](worker_says what) {
                               queue_message mail;
                               mail.body = worker_said{id, by, std::move(what)};
                               caf::anon_send(self, std::move(mail));
                             }});
    if (!over.empty())
      deliver(one, std::move(over));
    for (const auto& run : back)
      tell_returned(run);
    for (const auto& [run, lease] : std::map{state_.leases})
      if (lease.worker == id)
        check_held(run, lease);
  }

  void tell_returned(const std::string& run) {
    auto lease = state_.leases.find(run);
    auto here = leases_.find(run);
    if (lease == state_.leases.end() || here == leases_.end() || !here->second.by)
      return;
    run_mail mail;
    mail.body = worker_returned{static_cast<std::uint64_t>(lease->second.epoch)};
    tell(run_id{run}, here->second.by, std::move(mail));
  }

  void on(worker_said& e) {
    auto found = members_.find(e.worker.value);
    if (broken_ || found == members_.end() || found->second.link != e.by || !e.by)
      return; // Of a connection that another one replaced.
    found->second.silent_ticks = 0;
    if (!idle() && is_of_no_lease(e)) { // Unless what is at the ledger is refused.
      undecided_.push_back(std::move(e));
      return;
    }
    std::visit([&](auto& word) { hear(e.worker, found->second, word); }, e.what.word);
  }

  bool is_of_no_lease(const worker_said& e) const {
    const auto unknown = [&](const run_id& run, std::int64_t epoch) {
      const auto* lease = queue::find(state_, run.value, epoch);
      return lease == nullptr || lease->worker != e.worker;
    };
    return std::visit(
        overloaded{[&](const worker_says::frames& w) { return unknown(w.run, w.lease_epoch); },
                   [&](const worker_says::ended& w) { return unknown(w.run, w.lease_epoch); },
                   [](const auto&) { return false; }},
        e.what.word);
  }

  void hear(const worker_id&, member&, worker_says::sign_of_life&) {}
  void hear(const worker_id& id, member& one, worker_says::offers& word) {
    if (auto known = state_.workers.find(id.value); known != state_.workers.end())
      one.slots = std::min(word.slots, known->second.slots);
    match();
  }
  void hear(const worker_id& id, member& one, worker_says::frames& word) {
    const auto* lease = own_lease(id, one, word.run, word.lease_epoch);
    if (lease == nullptr)
      return;
    run_mail mail;
    mail.body = run_frames{lease->attempt, std::move(word.all)};
    pass_on(word.run, one, std::move(mail));
  }
  void hear(const worker_id& id, member& one, worker_says::ended& word) {
    const auto* lease = own_lease(id, one, word.run, word.lease_epoch);
    if (lease == nullptr)
      return;
    run_mail mail;
    mail.body = attempt_gone{lease->attempt, std::move(word.error), word.counted, false, false};
    pass_on(word.run, one, std::move(mail));
  }
  void hear(const worker_id& id, member& one, worker_says::leaves&) {
    one.ending = true;
    take({queue::leave{id, "drained"}, {}, {}, {}, {}});
  }
  void hear(const worker_id&, member& one, worker_says::connection_lost&) { one.link = nullptr; }

  /// Null: it is not the worker's any more, and it was told.
  const queue::lease* own_lease(const worker_id& id, member& one, const run_id& run,
                                std::int64_t epoch) {
    const auto* lease = queue::find(state_, run.value, epoch);
    if (lease != nullptr && lease->worker == id)
      return lease;
    deliver(one, harness::lease_ended_line({run.value, epoch}, "lost"));
    return nullptr;
  }

  void pass_on(const run_id& run, member& from, run_mail mail) {
    auto& here = leases_[run.value];
    if (here.by)
      tell(run, here.by, std::move(mail));
    else if (here.early.size() < early_max)
      here.early.push_back(std::move(mail));
    else
      drop_link(from, "too much was said before the run came back");
  }

  // -- the queue's own stream ------------------------------------------------------------------

  void order(queue::command command) { take({std::move(command), {}, {}, {}, {}}); }

  bool decide_mail(queue_order& ask, std::vector<queue::event>& facts) {
    ask.refused.reset();
    ask.facts.clear();
    auto decided = queue::decide(state_, ask.command);
    if (!decided) {
      ask.refused = decided.error();
      return true;
    }
    ask.facts = decided->facts;
    facts = std::move(decided->facts);
    return true;
  }

  void after_commit(const record_ptr&) {}

  void settle(queue_order& ask) {
    if (ask.run && ask.refused)
      not_granted(ask);
    if (ask.join && !ask.refused)
      attached(std::get<queue::join>(ask.command).worker, *ask.join);
    for (const auto& fact : ask.facts)
      std::visit(overloaded{[](const queue::worker_joined&) {},
                            [&](const queue::worker_left& e) { left(e); },
                            [&](const queue::lease_granted& e) { granted(e, *ask.run); },
                            [&](const queue::lease_expired& e) {
                              over(e, {"lease_expired", "The worker was silent for too long."});
                            },
                            [&](const queue::lease_released& e) { released(e); }},
                 fact);
    match();
    rest();
  }

  void granted(const queue::lease_granted& e, queued_run& run) {
    waiters_.granted(e.run.value);
    count_running(+1);
    leases_[e.run.value] = {};
    leases_[e.run.value].told = run.line;
    leases_[e.run.value].epoch = run.epoch;
    run_mail mail;
    mail.workspace = run.entry.workspace;
    mail.session = run.entry.session;
    mail.body = std::make_shared<run_granted>(run_granted{std::move(run.entry),
                                                          static_cast<std::uint64_t>(e.lease_epoch),
                                                          e.worker,
                                                          caf::actor_cast<worker_actor>(this),
                                                          run.how,
                                                          {},
                                                          run.agent_slug,
                                                          name_});
    if (run.line)
      tell(e.run, run.line, std::move(mail));
    else
      caf::anon_send(services_->directory, to_run{e.run, std::move(mail)});
  }

  /// The worker went, or the ledger could not write: the next tick tries again.
  void not_granted(queue_order& ask) {
    const auto& run = ask.run->entry.run.value;
    if (auto one = members_.find(std::get<queue::grant>(ask.command).worker.value);
        one != members_.end())
      one->second.taken.erase(run);
    waiters_.postpone(std::move(ask.run));
    keep_ticking();
  }

  void released(const queue::lease_released& e) {
    if (e.reason == "lost")
      over(e, lease_is_lost());
    else if (e.reason == "returned")
      over(e, {"worker_left", "The worker gave the run back."});
    else
      over(e, {}); // The run knows.
  }

  /// What was said under this lease before counts; nothing does that comes now.
  template <class Fact>
  void over(const Fact& e, const failure& told) {
    count_running(-1);
    auto here = leases_.extract(e.run.value);
    if (!here.empty() && here.mapped().by && !told.empty())
      tell_gone(e.run, here.mapped().by, e.attempt, told);
    auto found = members_.find(e.worker.value);
    if (found == members_.end())
      return;
    auto& one = found->second;
    one.taken.erase(e.run.value);
    std::string reason = "expired";
    if constexpr (requires { e.reason; })
      reason = e.reason;
    if (one.holds.erase(e.run.value) > 0)
      deliver(one, harness::lease_ended_line({e.run.value, e.lease_epoch}, reason));
  }

  void left(const queue::worker_left& e) {
    auto found = members_.find(e.worker.value);
    if (found == members_.end())
      return;
    drop_link(found->second, e.reason == "silent" ? "the worker was silent for too long" : "");
    members_.erase(found);
  }

  void refuse(queue_order& ask, errc code, const read_error* damage) {
    if (ask.run)
      not_granted(ask);
    if (ask.join)
      ask.join->to(refusal_for(code, damage));
    for (auto& [id, one] : members_)
      one.ending = false; // Silence tells again.
    if (const auto* release = std::get_if<queue::release>(&ask.command)) {
      unreleased_.push_back(*release);
      drop_link_of(*release);
    }
    keep_ticking();
  }

  /// When it comes back it hears what became of the lease, and nothing of it is passed on before.
  void drop_link_of(const queue::release& wanted) {
    auto lease = state_.leases.find(wanted.run.value);
    if (lease != state_.leases.end() && lease->second.epoch == wanted.epoch)
      if (auto one = members_.find(lease->second.worker.value); one != members_.end())
        drop_link(one->second, "the ledger cannot be written");
  }

  // -- time ------------------------------------------------------------------------------------

  /// Each has a full period to come back.
  void remember_workers() {
    for (const auto& [id, one] : state_.workers)
      members_[id];
    for (const auto& [run, lease] : state_.leases) {
      members_[lease.worker.value].taken.insert(run);
      leases_[run];
      count_running(+1);
    }
    for (const auto& [run, lease] : std::map{state_.leases})
      release_if_ended(run, lease); // Its end was told to an earlier actor.
    keep_ticking();
  }

  void keep_ticking() {
    if (ticking_ || (members_.empty() && !waiters_.any_postponed() && unreleased_.empty()))
      return;
    ticking_ = true;
    delayed_send(this, std::chrono::milliseconds{services_->settings.lease_ms / ticks_per_lease},
                 tick_atom_v, std::uint64_t{0});
  }

  /// Silence is counted, not measured: a clock that is set, or a server that was stopped, expires
  /// nothing.
  void tick() {
    ticking_ = false;
    std::vector<queue::command> late;
    for (auto& [id, one] : members_)
      if (++one.silent_ticks > ticks_per_lease && !one.ending) {
        one.ending = true;
        late.emplace_back(queue::expire{worker_id{id}});
      }
    for (auto& one : std::exchange(unreleased_, {}))
      late.emplace_back(std::move(one));
    for (auto& one : late)
      order(std::move(one));
    for (auto& run : waiters_.take_postponed())
      on(run);
    look_for_ends();
    keep_ticking();
    match();
  }

  // -- life ------------------------------------------------------------------------------------

  void rest() {
    if (idle() && !busy())
      caf::anon_send(services_->directory, entity_idle{stream_, false});
  }

  bool busy() const { return queue::open(state_) || !waiters_.empty() || !unreleased_.empty(); }

  /// The next holder knows the leases, and their workers come back to it. Who waits is no fact of
  /// the queue: it stands in line again where it lives.
  bool vacate() {
    for (auto& [id, one] : members_)
      drop_link(one, "the queue moves");
    send_away();
    tell_moved();
    count_running(-running_);
    for (auto& run : waiters_.leave())
      caf::anon_send(services_->dispatcher, queue_elsewhere{std::move(run)});
    return true;
  }

  void leave() {
    if (broken_) {
      hand_over();
      return quit();
    }
    bool stays = !idle() || busy();
    caf::anon_send(services_->directory, entity_left{stream_, stays});
    if (!stays)
      quit();
  }

  void count_running(std::int64_t by) {
    running_ += by;
    services_->counters.running_runs.fetch_add(static_cast<std::uint64_t>(by),
                                               std::memory_order_relaxed);
  }

  /// The successor learns from the ledger what is leased; who waits is told to it, and a run whose
  /// attempt is under way tries again.
  void hand_over() {
    send_away();
    count_running(-running_);
    for (auto& run : waiters_.leave())
      caf::anon_send(services_->directory, to_queue{stream_, queue_message{std::move(run)}});
    for (auto& [run, here] : leases_)
      if (here.by)
        if (auto lease = state_.leases.find(run); lease != state_.leases.end())
          tell_gone(run_id{run}, here.by, lease->second.attempt, lease_is_lost());
  }

  const workspace_id& workspace_of(const queue_order&) const { return workspace_; }
  const std::string& partition_key_of(const queue_order&) const { return stream_.value; }
  const event_origin& origin_of(const queue_order& ask) const {
    static const event_origin own{{}, {}, "system", {}};
    if (!ask.join)
      return own;
    const auto& c = ask.join->request.context;
    origin_ = {{}, c.correlation_id, c.principal, c.traceparent};
    return origin_;
  }

  workspace_id workspace_;
  std::string name_;
  queue_waiters waiters_{services_->counters};
  std::set<run_actor> lines_; // Ends of lines to other processes.
  members members_;
  std::unordered_map<std::string, held> leases_;
  std::vector<queue::release> unreleased_; // The ledger could not write them.
  std::vector<worker_said> undecided_;     // Of leases that may be over, once the ledger has said.
  mutable event_origin origin_;
  std::int64_t running_ = 0; // Leases, as they are counted.
  bool matching_ = false, ticking_ = false;
};

} // namespace

queue_actor spawn_queue(caf::actor_system& sys, services_ptr s, stream_id stream) {
  return sys.spawn<queue_impl>(std::move(s), std::move(stream));
}

} // namespace runledger
