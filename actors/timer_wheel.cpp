#include "actors/timer_wheel.hpp"

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <set>
#include <unordered_map>

namespace runledger {

namespace {

constexpr std::int64_t look_every_ms = 1000;

class wheel final : public timer_wheel_actor::base {
public:
  wheel(caf::actor_config& cfg, services_ptr s)
      : timer_wheel_actor::base(cfg), services_(std::move(s)) {}

  behavior_type make_behavior() override {
    return {[this](const arm_timer& ask) { arm(ask); },
            [this](tick_atom, std::uint64_t tick) {
              if (tick != tick_)
                return; // An earlier one was asked for since.
              next_tick_ms_.reset();
              fire();
            }};
  }

  const char* name() const override { return "timer wheel"; }

private:
  void arm(const arm_timer& ask) {
    if (auto known = due_of_.find(ask.stream.value); known != due_of_.end()) {
      due_.erase({known->second, ask.stream.value});
      due_of_.erase(known);
    }
    if (!ask.due_ms)
      return;
    due_.emplace(*ask.due_ms, ask.stream.value);
    due_of_.emplace(ask.stream.value, *ask.due_ms);
    schedule();
  }

  void fire() {
    auto now = to_ms(services_->clock.now());
    while (!due_.empty() && due_.begin()->first <= now) {
      auto stream = due_.begin()->second;
      due_.erase(due_.begin());
      due_of_.erase(stream);
      caf::anon_send(services_->directory, wake_stream{stream_id{stream}, true, {}, {}});
    }
    schedule();
  }

  /// One tick counts at any time: who asks for an earlier one makes the one under way void.
  void schedule() {
    if (due_.empty())
      return;
    auto now = to_ms(services_->clock.now());
    auto wait = std::clamp<std::int64_t>(due_.begin()->first - now, 0, look_every_ms);
    if (next_tick_ms_ && *next_tick_ms_ <= now + wait)
      return;
    next_tick_ms_ = now + wait;
    delayed_send(this, std::chrono::milliseconds{wait}, tick_atom_v, ++tick_);
  }

  services_ptr services_;
  std::set<std::pair<std::int64_t, std::string>> due_;
  std::unordered_map<std::string, std::int64_t> due_of_;
  std::optional<std::int64_t> next_tick_ms_; // Of the tick that counts.
  std::uint64_t tick_ = 0;
};

} // namespace

timer_wheel_actor spawn_timer_wheel(caf::actor_system& sys, services_ptr s) {
  return sys.spawn<wheel>(std::move(s));
}

} // namespace runledger
