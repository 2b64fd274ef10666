#pragma once

#include "actors/entity_traits.hpp"
#include "actors/services.hpp"
#include "actors/state_probe.hpp"
#include "events/chain.hpp"
#include "events/planted_bugs.hpp"

#include <caf/send.hpp>

#include <deque>
#include <string>
#include <vector>

namespace runledger {

/// The refusal for a damaged stream, with its place.
inline refusal_info refusal_of(errc code, const read_error* damage) {
  refusal_info out;
  out.code = code;
  if (damage == nullptr)
    return out;
  if (damage->what == read_error::kind::unavailable)
    out.code = errc::ledger_unavailable;
  out.detail = damage->detail;
  out.stream = damage->stream.value;
  out.seq = damage->seq;
  out.offset = damage->offset;
  return out;
}

/// The write path of every entity actor: decide -> append -> evolve -> effects -> answer.
///
/// While an append is in flight further mail waits; after it, all that waits is decided in order
/// into one batch. The state runs ahead of the ledger by the batch in flight only, and nothing of
/// it is visible before the append is acknowledged: no effect, no answer, and no refusal either,
/// because it may rest on what the same batch decided. A refused append (somebody was first) is
/// decided again on the state of the ledger, a bounded number of times.
/// After an unknown outcome the state is not to be trusted: the actor ends and the directory
/// rebuilds it.
///
/// Only a stream of a partition that this process holds is decided on; other mail is refused with
/// `not_owner`. When its partition goes (yield_atom), the actor waits for what is at the ledger,
/// refuses the rest and ends, whatever its state still asks for: the next holder goes on with that.
///
/// `Derived` is an actor class. It provides
/// - `bool decide_mail(Mail&, std::vector<event>& facts)`: facts for the state. What it refuses
///   because of the state it notes in the mail. False: somebody else answers it.
/// - `void settle(Mail&)`: after the commit of its round: effects, then the answer or the refusal.
/// - `void refuse(Mail&, errc, read_error*)`: nothing was written.
/// - `void after_commit(const record_ptr&)`: per event, in order.
/// - `bool vacate()`: the partition goes; lets go of what the actor holds outside of the ledger.
///   False: it calls `end_if_vacated()` again once it can go.
template <class Derived, class Traits, class Mail>
class entity_shell {
public:
  using state_type = typename Traits::state;
  using event_type = typename Traits::event;

  entity_shell(services_ptr s, stream_id stream)
      : services_(std::move(s)), stream_(std::move(stream)) {}

  const state_type& state() const { return state_; }
  const stream_id& stream() const { return stream_; }
  bool idle() const { return waiting_.empty() && !appending_; }

protected:
  /// Rebuilds the state from the ledger. On damage every mail is refused with its place.
  void load() {
    auto now = fold_stream<Traits>(services_->log, stream_);
    if (now) {
      state_ = std::move(now->state);
      head_ = std::move(now->head);
      first_ = std::move(now->first);
      damage_.reset();
    } else {
      damage_ = now.error();
      services_->warn("stream " + stream_.value + " cannot be read at seq "
                      + std::to_string(damage_->seq) + ": " + damage_->detail);
    }
  }

  void take(Mail mail) {
    queue_mail(std::move(mail));
    decide_waiting();
  }
  /// At the actor's end: lets go of mail and so of the handles in it, or actors that hold each
  /// other stay for ever. Answers that are still owed say `outcome_unknown`.
  void drop_mail() {
    waiting_.clear();
    appending_.reset();
  }
  /// The partition of the stream goes to another process, or has gone.
  void yield() {
    yielding_ = true;
    decide_waiting();
    end_if_vacated();
  }
  /// The end of an actor that yields, once nothing of it is at the ledger.
  void end_if_vacated() {
    if (!yielding_ || appending_ || broken_ || !derived().vacate())
      return;
    broken_ = true; // Mail that was on its way is dropped with the actor.
    caf::anon_send(services_->directory, entity_left{stream_, false});
    derived().quit();
  }
  /// For mail that comes together: decide_waiting() follows when all of it stands in line.
  void queue_mail(Mail mail) { waiting_.push_back(std::move(mail)); }

  /// The state cannot be trusted any more: refuse everything until the directory has let go of this
  /// actor (leave_atom ends it) and rebuilds it. Mail that was on its way is refused, not lost.
  void break_off() {
    if (!std::exchange(broken_, true))
      caf::anon_send(services_->directory, entity_broken{stream_});
  }

  void decide_waiting() {
    constexpr std::size_t round_max = 256;
    while (!appending_ && !waiting_.empty()) {
      if (auto why = not_decided_because(waiting_.front())) {
        auto mail = std::move(waiting_.front());
        waiting_.pop_front();
        derived().refuse(mail, *why, *why == errc::ledger_corrupt ? &*damage_ : nullptr);
        continue;
      }
      std::vector<Mail> round;
      append_request request;
      while (!waiting_.empty() && round.size() < round_max) {
        auto mail = std::move(waiting_.front());
        waiting_.pop_front();
        if (decide_one(mail, request))
          round.push_back(std::move(mail));
      }
      if (planted(bug::effect_before_commit) && !request.events.empty())
        for (auto& mail : round)
          derived().settle(mail);
      if (request.events.empty())
        settle_all(round);
      else
        append(std::move(round), std::move(request));
    }
  }

  void on_append_done(const append_done& done) {
    if (!appending_ || done.ticket != appending_->ticket)
      return; // A late answer of an earlier batch.
    auto flight = std::move(*appending_);
    appending_.reset();
    auto outcome = done.result.outcome;
    if (planted(bug::unknown_append_ignored) && outcome == append_outcome::unknown)
      outcome = append_outcome::accepted;
    switch (outcome) {
      case append_outcome::accepted:
        refusals_ = 0;
        show_state();
        for (const auto& r : flight.events)
          derived().after_commit(r);
        if (!planted(bug::effect_before_commit))
          settle_all(flight.round);
        break;
      case append_outcome::rejected:
        services_->counters.rejected_appends.fetch_add(1, std::memory_order_relaxed);
        decide_again(std::move(flight.round));
        break;
      case append_outcome::unavailable:
        load();
        for (auto& mail : flight.round)
          derived().refuse(mail, errc::ledger_unavailable, nullptr);
        break;
      case append_outcome::unknown:
        for (auto& mail : flight.round)
          derived().refuse(mail, errc::outcome_unknown, nullptr);
        for (auto& mail : waiting_)
          derived().refuse(mail, errc::ledger_unavailable, nullptr);
        waiting_.clear();
        derived().break_off();
        return;
    }
    decide_waiting();
    end_if_vacated();
  }

  /// The refusal for mail that is not decided on: with the place of damage, or the partition.
  refusal_info refusal_for(errc code, const read_error* damage) const {
    auto out = refusal_of(code, damage);
    if (code == errc::not_owner)
      out.partition = home_;
    return out;
  }

  services_ptr services_;
  stream_id stream_;
  state_type state_;
  stream_head head_;
  record_ptr first_; ///< The stream's first event, if it was there when the state was rebuilt.
  bool broken_ = false;

private:
  std::optional<errc> not_decided_because(const Mail& mail) {
    if (damage_)
      return errc::ledger_corrupt;
    if (broken_)
      return errc::ledger_unavailable;
    if (!home_)
      home_ = services_->partitions.home_of(stream_, derived().partition_key_of(mail));
    if (yielding_ || !home_ || !services_->partitions.holds(*home_))
      return errc::not_owner;
    return std::nullopt;
  }

  struct flight {
    std::uint64_t ticket = 0;
    std::vector<Mail> round;
    std::vector<record_ptr> events;
  };

  Derived& derived() { return static_cast<Derived&>(*this); }

  void show_state() const {
#ifdef RUNLEDGER_PLANT_BUGS
    // Of entities that the simulation has.
    if constexpr (std::is_constructible_v<decltype(state_probe::state), const state_type*>)
      if (on_state_probe)
        on_state_probe({*services_, stream_, head_, &state_});
#endif
  }

  /// False if the mail needs no settling here.
  bool decide_one(Mail& mail, append_request& request) {
    std::vector<event_type> facts;
    if (!derived().decide_mail(mail, facts))
      return false;
    for (auto& fact : facts)
      if (!externalize_event(fact, services_->blobs)) {
        derived().refuse(mail, errc::ledger_unavailable, nullptr);
        return false;
      }
    for (auto& fact : facts)
      request.events.push_back(make_next(fact, mail));
    return true;
  }

  std::shared_ptr<record> make_next(const event_type& fact, const Mail& mail) {
    auto encoded = encode(fact);
    envelope e;
    e.stream = stream_;
    e.type = std::move(encoded.type);
    e.data = std::move(encoded.data);
    e.workspace = derived().workspace_of(mail);
    e.partition_key = derived().partition_key_of(mail);
    e.time = services_->clock.now();
    const event_origin& origin = derived().origin_of(mail);
    e.causation_id = origin.causation_id;
    e.correlation_id = origin.correlation_id;
    e.principal = origin.principal;
    e.traceparent = origin.traceparent;
    if (head_.time > e.time)
      e.time = head_.time; // Time never goes back within a stream.
    e.seq = head_.seq + 1;
    state_ = Traits::evolve(std::move(state_), fact, e);
    auto r = make_record(head_, std::move(e), services_->partitions.epoch_of(*home_),
                         Traits::open(state_), Traits::due_ms(state_));
    follow(head_, *r);
    return r;
  }

  void append(std::vector<Mail> round, append_request request) {
    appending_.emplace();
    appending_->ticket = ++last_ticket_;
    appending_->round = std::move(round);
    appending_->events.assign(request.events.begin(), request.events.end());
    append_batch batch;
    batch.ticket = last_ticket_;
    batch.partition = *home_;
    batch.request = std::move(request);
    batch.reply_to = caf::actor_cast<append_sink>(&derived());
    caf::anon_send(services_->gateway, std::move(batch));
  }

  void settle_all(std::vector<Mail>& round) {
    for (auto& mail : round)
      derived().settle(mail);
  }

  /// Somebody else wrote first: read the ledger and decide the same mail once more.
  void decide_again(std::vector<Mail> round) {
    constexpr int attempts_max = 3;
    load();
    if (++refusals_ > attempts_max) {
      refusals_ = 0;
      for (auto& mail : round)
        derived().refuse(mail, errc::ledger_unavailable, nullptr);
      return;
    }
    waiting_.insert(waiting_.begin(), std::make_move_iterator(round.begin()),
                    std::make_move_iterator(round.end()));
  }

  std::optional<std::uint32_t> home_; ///< The stream's partition.
  bool yielding_ = false;
  std::deque<Mail> waiting_;
  std::optional<flight> appending_;
  std::optional<read_error> damage_;
  std::uint64_t last_ticket_ = 0;
  int refusals_ = 0;
};

} // namespace runledger
