#include "actors/session_actor.hpp"

#include "actors/entity_shell.hpp"
#include "actors/fork_source.hpp"
#include "events/fail_point.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <unordered_map>

namespace runledger {

namespace {

constexpr std::int64_t ledger_retry_ms = 1000; // After the ledger could not write.

class session_impl final : public session_actor::base,
                           public entity_shell<session_impl, session_traits, session_mail> {
public:
  using shell = entity_shell<session_impl, session_traits, session_mail>;
  friend shell;

  session_impl(caf::actor_config& cfg, services_ptr s, session_id id)
      : session_actor::base(cfg), shell(std::move(s), stream_of(id)), id_(std::move(id)) {}

  behavior_type make_behavior() override {
    load();
    report_waiting();
    perform(session::recover(state_), false);
    return {[this](session_mail& mail) {
              // The run's end is durable: who waits for it need not wait for the session's own
              // event.
              if (const auto* ended = std::get_if<session::end_turn>(&mail.body))
                announce(ended->run, mail.at_end);
              take(std::move(mail));
            },
            [this](const append_done& done) { on_append_done(done); },
            [this](leave_atom) { leave(); }, [this](yield_atom) { yield(); }};
  }

  const char* name() const override { return "session"; }
  void on_exit() override {
    listeners_.clear();
    drop_mail();
  }

private:
  bool decide_mail(session_mail& mail, std::vector<session::event>& facts) {
    mail.decided = {}; // Of a round whose append was refused: nothing of it came to be.
    mail.cancels = false;
    mail.refused.reset();
    if (std::holds_alternative<std::monostate>(mail.body))
      return true; // Awake is all that was asked.
    if (queue_full_for(mail)) {
      mail.accepted.refuse(errc::queue_full, "Too many runs wait in this workspace.");
      rest();
      return false;
    }
    if (pass_on_to_agent(mail) || !take_from_parent(mail))
      return false;
    session::command asked{services_->clock.now(), mail.workspace, {}};
    std::visit(overloaded{[](std::monostate) {}, [&](auto& body) { asked.body = body; }},
               mail.body);
    auto decided = session::decide(state_, asked);
    if (!decided) {
      mail.refused = code_of(decided.error());
      return true;
    }
    if (accepts(mail) && !decided->replayed && !mail.place) {
      ask_for_place(mail);
      return false;
    }
    facts = std::move(decided->facts);
    mail.cancels =
        !facts.empty() && std::holds_alternative<session::cancel_requested>(facts.front());
    mail.decided = std::move(*decided);
    return true;
  }

  /// A keyed first request: known here, or to be pinned to a version by its agent before it can be
  /// accepted.
  bool pass_on_to_agent(session_mail& mail) {
    if (!mail.unpinned || state_.at != session::phase::absent)
      return false;
    agent_mail pin;
    auto agent = std::get<session::accept_turn>(mail.body).agent;
    pin.origin = mail.origin;
    pin.workspace = mail.workspace;
    pin.pin = std::move(mail.unpinned);
    pin.turn = std::get<session::accept_turn>(mail.body);
    pin.session = id_;
    pin.accepted = std::move(mail.accepted);
    caf::anon_send(services_->directory, to_agent{agent, std::move(pin)});
    rest(); // Its agent may refuse it.
    return true;
  }

  /// A fork that is not known here yet: pinned to the parent's version, whatever became of that
  /// version since, with the parent's input. False: refused.
  bool take_from_parent(session_mail& mail) {
    if (!mail.fork_at || state_.at != session::phase::absent)
      return true;
    auto& turn = std::get<session::accept_turn>(mail.body);
    auto parent = find_fork_source(services_->log, mail.workspace, turn.parent_run, *mail.fork_at);
    if (!parent) {
      mail.accepted(parent.error());
      rest();
      return false;
    }
    auto& from = parent->accepted;
    turn.agent = std::move(from.agent);
    turn.agent_slug = std::move(from.agent_slug);
    turn.agent_version = from.agent_version;
    turn.limits = from.limits;
    turn.prompt = std::move(from.prompt);
    turn.initial_state = std::move(from.initial_state);
    turn.fork = std::move(parent->point);
    mail.fork_at.reset(); // It comes by once more, with its place.
    return true;
  }

  static bool accepts(const session_mail& mail) {
    return std::holds_alternative<session::accept_turn>(mail.body);
  }

  /// A turn that is known already is answered also when nothing new is taken.
  bool queue_full_for(const session_mail& mail) const {
    const auto* turn = std::get_if<session::accept_turn>(&mail.body);
    return turn != nullptr && mail.queue_full && session::find(state_, turn->run) == nullptr;
  }

  /// A message or fork that would be accepted: it comes back with its place, or with queue_full.
  void ask_for_place(session_mail& mail) {
    caf::anon_send(services_->directory, to_session{id_, std::move(mail)});
    rest(); // It may be refused there.
  }

  /// Turns behind the current one wait for certain; of that one the dispatcher knows.
  void report_waiting() {
    runs_waiting waiting;
    if (state_.at == session::phase::active)
      for (auto i = state_.first_open + 1; i < state_.turns.size(); ++i)
        if (!state_.turns[i].ended())
          waiting.runs.push_back(state_.turns[i].run);
    if (waiting.runs.empty())
      return;
    waiting.workspace = state_.workspace;
    waiting.session = id_;
    caf::anon_send(services_->directory, std::move(waiting));
  }

  void after_commit(const record_ptr& r) {
    if (auto fact = decode_accepted(*r))
      accepted_[fact->run.value] = {fact, r};
  }

  static std::shared_ptr<const session::turn_accepted> decode_accepted(const record& r) {
    static const auto type = full_type(session::turn_accepted::name, 1);
    if (r.event.type != type)
      return nullptr;
    auto fact = decode<session::event>(r.event);
    if (!fact || !std::holds_alternative<session::turn_accepted>(*fact))
      return nullptr;
    return std::make_shared<const session::turn_accepted>(
        std::get<session::turn_accepted>(std::move(*fact)));
  }

  /// Effects first, then the answers: an answer may bring the next request at once.
  void settle(session_mail& mail) {
    if (mail.refused)
      return answer_refusal(mail);
    if (std::holds_alternative<std::monostate>(mail.body))
      perform(session::recover(state_), false);
    if (!mail.decided.replayed)
      mail.place.keep();
    perform(mail.decided.effects, true);
    fail_point("before_answer");
    std::visit(overloaded{[&](const session::accept_turn& ask) { answer_accepted(mail, ask); },
                          [&](const session::cancel&) { answer_cancel(mail); }, [](const auto&) {}},
               mail.body);
    fail_point("after_answer");
    if (idle())
      accepted_.clear();
    rest();
  }

  void answer_accepted(session_mail& mail, const session::accept_turn& ask) {
    accepted_run out;
    out.session = id_;
    out.replayed = mail.decided.replayed;
    if (auto found = accepted_.find(ask.run.value); found != accepted_.end()) {
      out.fact = found->second.first;
      out.accepting = found->second.second;
    } else if (!read_accepted(ask.run, out)) {
      mail.accepted.refuse(errc::ledger_unavailable, "The accepting event could not be read.");
      return;
    }
    out.accepted_at = out.accepting->event.time;
    if (mail.on_end)
      listen(ask.run, std::move(mail.on_end));
    mail.accepted(std::move(out));
  }

  bool read_accepted(const run_id& run, accepted_run& out) {
    out.accepting = accepting_of(*session::find(state_, run));
    out.fact = out.accepting ? decode_accepted(*out.accepting) : nullptr;
    return out.fact != nullptr;
  }

  void answer_cancel(session_mail& mail) {
    if (!mail.changed)
      return;
    auto accepting = mail.cancels || mail.decided.replayed ? read_cancel() : nullptr;
    mail.changed(session_answer{id_, state_, std::move(accepting), mail.decided.replayed});
  }

  /// The one cancel_requested, which stands near the end.
  record_ptr read_cancel() const {
    auto type = full_type(session::cancel_requested::name, 1);
    for (auto seq = head_.seq; seq > 0; --seq) {
      auto records = services_->log.read_stream(stream_, seq, 1);
      if (!records || records->empty())
        return nullptr;
      if (records->front()->event.type == type)
        return records->front();
    }
    return nullptr;
  }

  /// For a run that has ended already the end is read from its stream.
  void listen(const run_id& run, end_listener listener) {
    const auto* turn = session::find(state_, run);
    if (turn == nullptr || !turn->ended()) {
      listeners_.emplace(run.value, std::move(listener));
      return;
    }
    auto ended = fold_stream<run_traits>(services_->log, stream_of(run));
    if (ended)
      listener({run, std::make_shared<const run::state>(std::move(ended->state))});
  }

  void announce(const run_id& run, const std::shared_ptr<const run::state>& at_end) {
    auto [first, last] = listeners_.equal_range(run.value);
    for (auto i = first; i != last && at_end; ++i)
      i->second({run, at_end});
    listeners_.erase(first, last);
  }

  static errc code_of(session::rejection why) {
    switch (why) {
      case session::rejection::not_found:
        return errc::not_found;
      case session::rejection::terminated:
        return errc::session_terminated;
      case session::rejection::idempotency_conflict:
        return errc::idempotency_conflict;
    }
    return errc::not_found;
  }

  void answer_refusal(session_mail& mail) {
    mail.place.reset();
    mail.accepted.refuse(*mail.refused);
    mail.changed.refuse(*mail.refused);
    rest();
  }

  void refuse(session_mail& mail, errc code, const read_error* damage) {
    mail.place.reset(); // Before a successor reads what became of the turn.
    mail.accepted(refusal_for(code, damage));
    mail.changed(refusal_for(code, damage));
    if (damage == nullptr
        && session::open(state_)) // What was not written is found again by looking at the state.
      caf::anon_send(services_->timers,
                     arm_timer{stream_, to_ms(services_->clock.now()) + ledger_retry_ms});
    rest();
  }

  /// `counted`: a turn that is dispatched has its place in the queue since its acceptance.
  void perform(const std::vector<session::effect>& effects, bool counted) {
    for (const auto& one : effects)
      std::visit(overloaded{[&](const session::dispatch_current&) { dispatch(counted); },
                            [&](const session::cancel_runs&) { cancel_all(); },
                            [&](const session::finish_cancel&) { finish_cancel(); }},
                 one);
  }

  void dispatch(bool counted) {
    const auto* turn = session::current(state_);
    if (turn == nullptr || state_.at != session::phase::active)
      return;
    dispatch_entry entry;
    entry.run = turn->run;
    entry.session = id_;
    entry.workspace = state_.workspace;
    entry.turn = turn->number;
    entry.counted = counted;
    entry.accepted_seq = turn->seq;
    entry.agent = state_.agent;
    entry.agent_version = state_.agent_version;
    if (auto accepting = accepting_of(*turn)) {
      constexpr std::size_t carried_bytes_max = 4096; // A long queue must not hold long inputs.
      entry.accepted_offset = accepting->offset;
      // Offsets of several partitions do not compare.
      entry.accepted_ms = services_->partitions.count() > 1 ? to_ms(accepting->event.time) : 0;
      if (accepting->event.data.size() <= carried_bytes_max) {
        auto known = accepted_.find(turn->run.value);
        entry.fact = known != accepted_.end() ? known->second.first : decode_accepted(*accepting);
        entry.accepting = std::move(accepting);
      }
    }
    caf::anon_send(services_->dispatcher, std::move(entry));
  }

  /// The turn's turn_accepted; null where the ledger cannot be read now.
  record_ptr accepting_of(const session::turn& turn) const {
    if (auto known = accepted_.find(turn.run.value); known != accepted_.end())
      return known->second.second;
    if (first_ && first_->event.seq == turn.seq)
      return first_;
    auto records = services_->log.read_stream(stream_, turn.seq, 1);
    return records && !records->empty() ? records->front() : nullptr;
  }

  void cancel_all() {
    for (const auto& turn : state_.turns) {
      if (turn.ended())
        continue;
      caf::anon_send(services_->dispatcher, forget_run{turn.run});
      run_mail mail;
      mail.origin.causation_id = stream_.value + ':' + std::to_string(head_.seq);
      mail.origin.principal = "system";
      mail.workspace = state_.workspace;
      mail.session = id_;
      mail.body = cancel_run{state_.reason, turn.number};
      caf::anon_send(services_->directory, to_run{turn.run, std::move(mail)});
    }
  }

  /// The cancellation once more, to be decided on the state as it is now.
  void finish_cancel() {
    session_mail mail;
    mail.origin.causation_id = stream_.value + ':' + std::to_string(head_.seq);
    mail.origin.principal = "system";
    mail.workspace = state_.workspace;
    mail.body = session::cancel{state_.reason, state_.cancel_key, state_.cancel_fingerprint};
    caf::anon_send(caf::actor_cast<session_actor>(this), std::move(mail));
  }

  /// Nothing to do and nobody waiting: the directory may take the actor away.
  void rest() {
    if (idle() && listeners_.empty())
      caf::anon_send(services_->directory,
                     entity_idle{stream_, state_.at == session::phase::terminated});
  }

  bool vacate() { return true; }

  void leave() {
    if (broken_)
      return quit();
    bool stays = !idle() || !listeners_.empty();
    caf::anon_send(services_->directory, entity_left{stream_, stays});
    if (!stays)
      quit();
  }

  const workspace_id& workspace_of(const session_mail& mail) const {
    return state_.workspace.empty() ? mail.workspace : state_.workspace;
  }
  const std::string& partition_key_of(const session_mail&) const { return stream_.value; }
  const event_origin& origin_of(const session_mail& mail) const { return mail.origin; }

  session_id id_;
  /// What this actor accepted itself, while its answers are owed.
  std::unordered_map<std::string,
                     std::pair<std::shared_ptr<const session::turn_accepted>, record_ptr>>
      accepted_;
  std::unordered_multimap<std::string, end_listener> listeners_;
};

} // namespace

session_actor spawn_session(caf::actor_system& sys, services_ptr s, session_id id) {
  return sys.spawn<session_impl>(std::move(s), std::move(id));
}

} // namespace runledger
