#include "actors/courier_actor.hpp"

#include <caf/actor_system.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <limits>
#include <unordered_map>
#include <utility>

namespace runledger {

namespace {

constexpr std::int64_t first_pause_ms = 50, longest_pause_ms = 2000;
constexpr std::size_t waiting_per_entity_max = 1000; // Reports of slots and refused calls.

/// Answers after which the same command makes sense again.
bool may_be_repeated(errc why) {
  return why == errc::not_owner || why == errc::ledger_unavailable || why == errc::outcome_unknown
         || why == errc::draining;
}

class courier final : public courier_actor::base {
public:
  courier(caf::actor_config& cfg, services_ptr s)
      : courier_actor::base(cfg), services_(std::move(s)) {}

  behavior_type make_behavior() override {
    return {[this](carry_command& ask) { take(std::move(ask)); },
            [this](command_carried& done) { on_answer(done); },
            [this](tick_atom, std::uint64_t ticket) { go_on(ticket); }};
  }
  const char* name() const override { return "courier"; }
  void on_exit() override { lines_.clear(); }

private:
  struct line {
    std::deque<carry_command> waiting; // The first is under way.
    std::uint64_t ticket = 0;          // Of its attempt, or of the pause behind it.
    std::int64_t end_ms = 0;           // Then its patience is over.
    std::int64_t pause_ms = first_pause_ms;
    int attempts = 0;
    bool paused = false;
  };

  void take(carry_command ask) {
    auto& line = lines_[ask.what.stream.value];
    if (line.waiting.size() >= waiting_per_entity_max)
      return ask.to.refuse(errc::ledger_unavailable, "Too much waits for another server.");
    line.waiting.push_back(std::move(ask));
    if (line.waiting.size() == 1)
      begin(line);
  }

  std::int64_t now_ms() const { return to_ms(services_->clock.now()); }

  std::uint64_t new_ticket(line& l) {
    by_ticket_.erase(l.ticket);
    by_ticket_[++last_ticket_] = l.waiting.front().what.stream.value;
    return l.ticket = last_ticket_;
  }

  void begin(line& l) {
    const auto patience_ms = l.waiting.front().patience_ms;
    const auto now = now_ms();
    const bool for_ever = patience_ms > std::numeric_limits<std::int64_t>::max() - now;
    l.end_ms = for_ever ? std::numeric_limits<std::int64_t>::max() : now + patience_ms;
    send(l);
  }

  /// An attempt counts with all of its time: what it has not answered by the end of the patience,
  /// it answers nobody.
  void send(line& l) {
    const auto& first = l.waiting.front();
    ++l.attempts;
    const auto ticket = new_ticket(l);
    if (l.end_ms != std::numeric_limits<std::int64_t>::max())
      delayed_send(this, std::chrono::milliseconds{std::max<std::int64_t>(l.end_ms - now_ms(), 0)},
                   tick_atom_v, ticket);
    answer<peer_done> reply{
        [to = caf::actor_cast<courier_actor>(this), ticket](result<peer_done, refusal_info> got) {
          caf::anon_send(to, command_carried{ticket, std::move(got)});
        }};
    if (services_->partitions.holds(first.partition))
      caf::anon_send(services_->directory,
                     directory_request{std::pair{first.what, std::move(reply)}});
    else
      services_->others->send(first.partition, first.what, std::move(reply));
  }

  void on_answer(command_carried& done) {
    auto place = by_ticket_.extract(done.ticket);
    auto found = place.empty() ? lines_.end() : lines_.find(place.mapped());
    if (found == lines_.end())
      return;
    auto& l = found->second;
    const bool again = done.outcome.has_error() && may_be_repeated(done.outcome.error().code);
    if (again && now_ms() + l.pause_ms < l.end_ms)
      return pause(l);
    if (again) { // An earlier attempt may have been carried out.
      auto why = done.outcome.error();
      why.code = errc::outcome_unknown;
      done.outcome = std::move(why);
    }
    if (done.outcome && l.attempts > 1 && l.waiting.front().is_new)
      done.outcome->replayed = false; // By an attempt whose answer got lost.
    auto to = std::move(l.waiting.front().to);
    l.waiting.pop_front();
    l.attempts = 0;
    l.pause_ms = first_pause_ms;
    if (l.waiting.empty())
      lines_.erase(found);
    else
      begin(l);
    to(std::move(done.outcome));
  }

  void pause(line& l) {
    const auto ticket = new_ticket(l);
    l.paused = true;
    delayed_send(this, std::chrono::milliseconds{l.pause_ms}, tick_atom_v, ticket);
    l.pause_ms = std::min(2 * l.pause_ms, longest_pause_ms);
  }

  /// A pause is over, or the patience with an attempt that says nothing.
  void go_on(std::uint64_t ticket) {
    auto place = by_ticket_.find(ticket);
    auto found = place == by_ticket_.end() ? lines_.end() : lines_.find(place->second);
    if (found == lines_.end())
      return;
    if (std::exchange(found->second.paused, false))
      return send(found->second);
    command_carried silence{ticket, refusal_info{}};
    on_answer(silence);
  }

  services_ptr services_;
  std::unordered_map<std::string, line> lines_; // By stream.
  std::unordered_map<std::uint64_t, std::string> by_ticket_;
  std::uint64_t last_ticket_ = 0;
};

} // namespace

courier_actor spawn_courier(caf::actor_system& sys, services_ptr s) {
  return sys.spawn<courier>(std::move(s));
}

} // namespace runledger
