#include "actors/remote_queue.hpp"

#include "actors/entity_traits.hpp"
#include "actors/queue_line_messages.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <map>

namespace runledger {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds reopen_first{200}, reopen_most{3000};

class remote_queue_impl final : public remote_queue_actor::base {
public:
  remote_queue_impl(caf::actor_config& cfg, services_ptr s, stream_id queue,
                    std::uint32_t partition)
      : remote_queue_actor::base(cfg),
        services_(std::move(s)),
        queue_(std::move(queue)),
        partition_(partition) {}

  behavior_type make_behavior() override {
    return {[this](worker_mail& mail) {
              std::visit(overloaded{[&](begin_run& ask) { on(ask); },
                                    [&](write_lines& ask) { on(ask); },
                                    [&](finish_run& ask) { on(ask); }, [](auto&) {}},
                         mail.body);
            },
            [](const append_done&) {}, [this](tick_atom, std::uint64_t number) { tick(number); },
            [this](queue_message& mail) {
              std::visit(overloaded{[&](queued_run_ptr& asked) { on(asked); },
                                    [&](forget_run& e) { on(e); },
                                    [&](resume_lease& ask) { on(ask); }, [](auto&) {}},
                         mail.body);
            },
            [this](line_event& e) {
              if (e.line == line_number_)
                std::visit([&](auto& what) { on_line(what); }, e.what);
            }};
  }

  const char* name() const override { return "remote queue"; }
  void on_exit() override {
    if (line_)
      line_->close();
    line_.reset();
    runs_.clear();
  }

private:
  enum class phase : std::uint8_t {
    waiting,
    granted, ///< It is about to begin, or will give the grant back.
    asking,  ///< It has begun, and whether its lease lives is asked on this line.
    begun
  };
  /// A run of this process.
  struct run_here {
    phase at = phase::waiting;
    queued_run_ptr asked;     ///< Until it has begun.
    run_actor by;             ///< From then on.
    session_id session;       ///< Of what waits.
    std::uint64_t grant = 0;  ///< 0: not known yet.
    std::int64_t attempt = 0; ///< Of what has begun.
    std::uint64_t epoch = 0;  ///< Of the claim under which it is held.
    std::uint64_t line = 0;   ///< The number of the line on which that is so; `waiting`: was said.
  };

  // -- from runs -------------------------------------------------------------------------------

  void on(queued_run_ptr& asked) {
    auto& entry = asked->entry;
    const auto id = entry.run.value;
    auto known = runs_.find(id);
    if (known != runs_.end() && known->second.at != phase::waiting && !entry.again)
      return; // Its session does not know how far it has come.
    if (!set_attempt(entry))
      return; // It is under way, and asks for its lease itself.
    if (known != runs_.end() && known->second.at == phase::waiting) {
      auto& old = known->second;
      entry.attempt = std::max(entry.attempt, old.asked->entry.attempt);
      const bool said =
          line_ && old.line == line_number_ && entry.attempt == old.asked->entry.attempt;
      old.epoch = asked->epoch;
      old.asked = std::move(asked);
      return said ? void() : say_of(id, old);
    }
    auto& run = runs_[id];
    run = {};
    run.session = entry.session;
    run.epoch = asked->epoch;
    run.asked = std::move(asked);
    say_of(id, run);
  }

  /// This process holds the run, so it knows. False: an attempt is under way.
  bool set_attempt(dispatch_entry& entry) const {
    if (entry.attempt > 0)
      return true;
    const auto head = services_->log.head(stream_of(entry.run));
    auto run = head && *head
                   ? std::optional{fold_stream<run_traits>(services_->log, stream_of(entry.run))}
                   : std::nullopt;
    const bool known = run && run->has_value();
    entry.attempt = known ? (**run).state.attempt + 1 : 1;
    return !known || (**run).state.at != run::phase::running;
  }

  void on(forget_run& e) {
    auto known = runs_.find(e.run.value);
    if (known == runs_.end() || known->second.at != phase::waiting)
      return; // Whoever was granted answers that.
    runs_.erase(known);
    if (line_)
      say(line::stop_waiting{e.run});
  }

  void on(resume_lease& ask) {
    auto& run = runs_[ask.run.value];
    run = {};
    run.at = phase::asking;
    run.by = ask.by;
    run.session = ask.session;
    run.epoch = ask.epoch;
    run.attempt = ask.attempt;
    say_of(ask.run.value, run);
  }

  void on(begin_run& ask) {
    auto known = runs_.find(ask.run.value);
    if (known == runs_.end() || known->second.at != phase::granted
        || known->second.grant != ask.grant)
      return tell_gone(ask.by, ask.attempt, {"lease_lost", "The lease is not the run's any more."});
    auto& run = known->second;
    const bool same_line = line_ && run.line == line_number_;
    run.asked.reset();
    run.by = ask.by;
    run.attempt = ask.attempt;
    if (!same_line) { // The worker gets no beginning, which is as if it had been lost.
      run.at = phase::asking;
      return say_of(ask.run.value, run);
    }
    run.at = phase::begun;
    say(line::begin{ask.run, static_cast<std::int64_t>(ask.grant), ask.attempt,
                    ask.how->heartbeat_ms, ask.how->drain_ms, std::move(ask.environment),
                    std::move(ask.lines)});
  }

  /// Lines of a run that asks for its lease are said again once it has it.
  void on(write_lines& ask) {
    auto known = runs_.find(ask.run.value);
    if (known != runs_.end() && known->second.at == phase::begun && line_)
      say(line::write{ask.run, std::move(ask.lines)});
  }

  void on(finish_run& ask) {
    auto known = runs_.find(ask.run.value);
    if (known != runs_.end() && known->second.grant == ask.grant
        && known->second.at != phase::waiting)
      runs_.erase(known);
    finish(ask.run, static_cast<std::int64_t>(ask.grant), ask.clean, ask.moves);
  }

  void finish(const run_id& run, std::int64_t lease, bool clean, bool moves = false) {
    line::finish ask{run, lease, clean, moves};
    if (line_) {
      say(std::move(ask));
    } else if (!moves) { // A queue that has lost the line lets go of its runs anyway.
      unsaid_.push_back(std::move(ask));
      go_on();
    }
  }

  // -- the line --------------------------------------------------------------------------------

  void say(line::message what) { line_->send(line::to_text(what)); }

  void say_of(const std::string& id, run_here& run) {
    if (!line_)
      return go_on();
    if (run.at == phase::waiting) {
      const auto& entry = run.asked->entry;
      say(line::wait_for_worker{entry.run, entry.session, entry.attempt, entry.again, run.epoch});
      run.line = line_number_;
    } else if (run.at == phase::asking) {
      say(line::resume{run_id{id}, run.attempt, run.epoch});
    }
    keep_ticking(milliseconds{services_->settings.lease_ms});
  }

  /// There is something to say, and no line.
  void go_on() {
    if (reopening_ || line_)
      return;
    if (services_->partitions.holds(partition_))
      return hand_over();
    ++line_number_;
    auto event = [to = caf::actor_cast<remote_queue_actor>(this),
                  number = line_number_](auto what) {
      caf::anon_send(to, line_event{number, std::move(what)});
    };
    line_ = services_->lines->open(queue_, partition_,
                                   {[event](std::string text) { event(std::move(text)); },
                                    [event] { event(line_event::over{}); }});
    drop_what_left();
    for (auto& one : std::exchange(unsaid_, {}))
      say(std::move(one));
    for (auto& [id, run] : runs_)
      say_of(id, run);
    keep_ticking(milliseconds{services_->settings.lease_ms});
  }

  /// Runs whose partition another process has now stand in line through that one.
  void drop_what_left() {
    const auto& mine = services_->partitions;
    std::erase_if(runs_, [&](const auto& one) {
      if (one.second.at != phase::waiting)
        return false;
      const auto home = mine.home_of(stream_of(one.second.session), one.second.session.value);
      return !home || !mine.holds(*home);
    });
  }

  void on_line(line_event::over&) {
    line_.reset();
    for (auto& [id, run] : runs_)
      if (run.at == phase::begun)
        run.at = phase::asking;
    if (runs_.empty() && unsaid_.empty())
      return;
    reopening_ = true;
    keep_ticking(reopen_after_);
    reopen_after_ = std::min(reopen_after_ * 2, reopen_most);
  }

  void on_line(line_event::frame_done& e) {
    if (line_)
      say(line::done{e.number});
  }

  void on_line(std::string& text) {
    reopen_after_ = reopen_first;
    auto what = line::parse(text);
    if (!what)
      return line_->close();
    std::visit(overloaded{[&](line::granted& e) { on_said(e); },
                          [&](line::frame& e) { on_said(e); }, [&](line::gone& e) { on_said(e); },
                          [&](line::resumed& e) { on_said(e); },
                          [&](line::returned& e) { on_said(e); }, [](auto&) {}},
               *what);
  }

  // -- from the queue --------------------------------------------------------------------------

  void on_said(line::granted& e) {
    auto known = runs_.find(e.run.value);
    if (known == runs_.end() || known->second.at != phase::waiting)
      return finish(e.run, e.lease, true); // It ended meanwhile.
    auto& run = known->second;
    run.at = phase::granted;
    run.grant = static_cast<std::uint64_t>(e.lease);
    run.line = line_number_;
    run_mail mail;
    mail.workspace = run.asked->entry.workspace;
    mail.session = run.asked->entry.session;
    mail.body = std::make_shared<run_granted>(
        run_granted{std::move(run.asked->entry),
                    run.grant,
                    std::move(e.worker),
                    caf::actor_cast<worker_actor>(this),
                    run.asked->how,
                    {},
                    run.asked->agent_slug,
                    queue_.value.substr(queue_.value.rfind('/') + 1)});
    run.asked.reset();
    caf::anon_send(services_->directory, to_run{e.run, std::move(mail)});
  }

  /// The run whose actor hears of it.
  run_here* begun(const run_id& id) {
    auto known = runs_.find(id.value);
    return known != runs_.end() && known->second.by ? &known->second : nullptr;
  }

  void on_said(line::frame& e) {
    auto* run = begun(e.run);
    // The last who needs it lets go: then it is decided, and durable.
    frame_ptr kept{new harness::frame(std::move(e.what)),
                   [to = caf::actor_cast<remote_queue_actor>(this), line = line_number_,
                    number = e.number](auto* frame) {
                     delete frame;
                     caf::anon_send(to, line_event{line, line_event::frame_done{number}});
                   }};
    if (run == nullptr)
      return;
    run_mail mail;
    mail.body = run_frames{e.attempt, {std::move(kept)}};
    caf::anon_send(run->by, std::move(mail));
  }

  void on_said(line::gone& e) {
    auto* run = begun(e.run);
    if (run == nullptr || run->attempt != e.attempt)
      return;
    run_mail mail;
    mail.body =
        attempt_gone{e.attempt, {std::move(e.code), std::move(e.message)}, e.counted, false, false};
    caf::anon_send(run->by, std::move(mail));
    if (run->at == phase::asking) // The lease is over. Otherwise the run says that it has ended.
      runs_.erase(e.run.value);
  }

  void on_said(line::resumed& e) {
    auto* run = begun(e.run);
    const auto grant = static_cast<std::uint64_t>(e.lease);
    if (run == nullptr || run->attempt != e.attempt)
      return finish(e.run, e.lease, false);
    run->at = phase::begun;
    run_mail mail;
    if (run->grant == grant)
      mail.body = worker_returned{grant};
    else
      mail.body = lease_resumed{grant, e.attempt, caf::actor_cast<worker_actor>(this)};
    run->grant = grant;
    caf::anon_send(run->by, std::move(mail));
  }

  void on_said(line::returned& e) {
    auto* run = begun(e.run);
    if (run == nullptr)
      return;
    run_mail mail;
    mail.body = worker_returned{static_cast<std::uint64_t>(e.lease)};
    caf::anon_send(run->by, std::move(mail));
  }

  static void tell_gone(const run_actor& run, std::int64_t attempt, failure why) {
    run_mail mail;
    mail.body = attempt_gone{attempt, std::move(why), false, false, false};
    caf::anon_send(run, std::move(mail));
  }

  // -- the queue is here now -------------------------------------------------------------------

  void hand_over() {
    auto give = [this](auto body) {
      queue_message mail;
      mail.body = std::move(body);
      caf::anon_send(services_->directory, to_queue{queue_, std::move(mail)});
    };
    for (auto& one : std::exchange(unsaid_, {}))
      give(finish_run{one.run, static_cast<std::uint64_t>(one.lease), one.clean});
    drop_what_left();
    for (auto& [id, run] : std::exchange(runs_, {}))
      if (run.at == phase::waiting)
        give(std::move(run.asked));
      else if (run.by)
        give(resume_lease{run_id{id}, run.attempt, run.by, run.session, run.epoch});
  }

  // -- time ------------------------------------------------------------------------------------

  void keep_ticking(milliseconds after) {
    const bool sooner = reopening_ && !tick_is_soon_;
    if (ticking_ && !sooner)
      return;
    ticking_ = true;
    tick_is_soon_ = reopening_;
    delayed_send(this, after, tick_atom_v, ++last_tick_);
  }

  /// What waits for an answer is said again now and then: who heard it last, by whichever way,
  /// knows where the run is. A line that nobody needs is closed.
  void tick(std::uint64_t number) {
    if (number != last_tick_)
      return; // A sooner one came between.
    ticking_ = tick_is_soon_ = false;
    if (std::exchange(reopening_, false))
      return go_on();
    if (!line_)
      return;
    if (runs_.empty() && unsaid_.empty())
      return line_->close();
    drop_what_left();
    for (auto& [id, run] : runs_)
      if (run.at == phase::waiting || run.at == phase::asking)
        say_of(id, run);
    keep_ticking(milliseconds{services_->settings.lease_ms});
  }

  services_ptr services_;
  const stream_id queue_;
  const std::uint32_t partition_;
  std::map<std::string, run_here> runs_;
  std::vector<line::finish> unsaid_; // While there was no line.
  std::shared_ptr<queue_line> line_;
  std::uint64_t line_number_ = 0, last_tick_ = 0;
  milliseconds reopen_after_ = reopen_first;
  bool reopening_ = false, ticking_ = false, tick_is_soon_ = false;
};

} // namespace

remote_queue_actor spawn_remote_queue(caf::actor_system& sys, services_ptr s, stream_id queue,
                                      std::uint32_t partition) {
  return sys.spawn<remote_queue_impl>(std::move(s), std::move(queue), partition);
}

} // namespace runledger
