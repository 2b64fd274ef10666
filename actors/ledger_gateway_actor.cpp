#include "actors/ledger_gateway_actor.hpp"

#include "actors/head_writer.hpp"
#include "events/fail_point.hpp"
#include "events/planted_bugs.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <deque>
#include <list>

namespace runledger {

namespace {

constexpr std::size_t group_requests_max = 1024;
constexpr std::size_t group_bytes_max = 8 * 1024 * 1024;
constexpr int slow_down_ms = 2; // Per group, while the views are too far behind.

/// Sends a message back: it arrives behind everything that could run when it left, so that all of
/// it joins the group. This is how a group fills without waiting.
class bouncer final : public caf::event_based_actor {
public:
  bouncer(caf::actor_config& cfg, ledger_gateway to)
      : caf::event_based_actor(cfg), to_(std::move(to)) {}
  caf::behavior make_behavior() override {
    return {[this](flush_atom) { caf::anon_send(to_, flush_atom_v); }};
  }
  void on_exit() override { to_ = nullptr; }

private:
  ledger_gateway to_;
};

std::size_t bytes_of(const append_request& request) {
  std::size_t bytes = 0;
  for (const auto& r : request.events)
    bytes += r->event.data.size() + 512;
  return bytes;
}

class gateway final : public ledger_gateway::base {
public:
  gateway(caf::actor_config& cfg, services_ptr s, std::int64_t watchdog_ms)
      : ledger_gateway::base(cfg), services_(std::move(s)), watchdog_ms_(watchdog_ms) {}

  behavior_type make_behavior() override {
    bouncer_ = system().spawn<bouncer>(caf::actor_cast<ledger_gateway>(this));
    for (auto partition : services_->partitions.held())
      write_heads_of(partition);
    tend_heads();
    return {[this](append_batch& batch) {
              queue_.push_back(std::move(batch));
              ask_to_flush();
            },
            [this](flush_atom) { flush(); },
            [this](const group_done& done) { finish(done); },
            [this](const partition_taken& e) {
              write_heads_of(e.partition);
              tend_heads();
            },
            [this](partition_vacated& e) { vacate(e.partition, std::move(e.until_done)); },
            [this](tick_atom, std::uint64_t group) { time_out(group); },
            [this](count_atom) {
              counting_ = false;
              tend_heads();
            },
            [this](head_atom) {
              head_timer_ = false;
              tend_heads();
            }};
  }

  const char* name() const override { return "ledger gateway"; }

  void on_exit() override {
    caf::anon_send_exit(bouncer_, caf::exit_reason::user_shutdown);
    queue_.clear();
    appending_.clear();
    vacated_.clear();
  }

private:
  struct writer {
    std::uint64_t ticket;
    append_sink reply_to;
    std::size_t events;
    std::uint32_t partition;
    bool claims;
  };

  /// Nothing to append, not even a head that is due.
  bool idle() const { return queue_.empty() && !a_head_is_due(); }
  bool a_head_is_due() const { return std::ranges::any_of(heads_, &head_writer::due); }
  bool group_is_away() const { return !appending_.empty() || !heads_away_.empty(); }

  void ask_to_flush() {
    if (group_is_away() || idle())
      return;
    if (std::exchange(flush_asked_, true))
      return;
    if (views_too_far_behind())
      delayed_send(this, std::chrono::milliseconds{slow_down_ms}, flush_atom_v);
    else
      caf::anon_send(bouncer_, flush_atom_v);
  }

  bool views_too_far_behind() const {
    return services_->view_lag && services_->view_lag() > services_->settings.max_view_lag;
  }

  void flush() {
    flush_asked_ = false;
    if (group_is_away() || idle())
      return;
    std::vector<append_request> group;
    for (auto& one : heads_) // The first, so that they cover all that stands before them.
      if (one.due()) {
        heads_away_.push_back(one.partition());
        group.push_back({{one.make()}});
      }
    std::size_t bytes = 0;
    while (!queue_.empty() && group.size() < group_requests_max && bytes < group_bytes_max) {
      auto next = std::move(queue_.front());
      queue_.pop_front();
      if (!may_write(next)) {
        refuse(next);
        continue;
      }
      bytes += bytes_of(next.request);
      appending_.push_back({next.ticket, std::move(next.reply_to), next.request.events.size(),
                            next.partition, next.claims});
      group.push_back(std::move(next.request));
    }
    if (group.empty())
      return ask_to_flush();
    if (planted(bug::answer_before_commit))
      answer_early();
    fail_point("before_append");
    hand_over(std::move(group));
  }

  /// The log may complete before append returns (then nothing is sent around) or later, from its
  /// own thread.
  void hand_over(std::vector<append_request> group) {
    auto number = ++group_;
    struct meeting {
      std::atomic<int> stage{0}; // 0: append runs; 1: it returned first; 2: the results came first.
      std::vector<append_result> results;
    };
    auto shared = std::make_shared<meeting>();
    auto self = caf::actor_cast<ledger_gateway>(this);
    services_->log.append(std::move(group),
                          [shared, self, number](std::vector<append_result> results) {
                            shared->results = std::move(results);
                            int expected = 0;
                            if (!shared->stage.compare_exchange_strong(expected, 2))
                              caf::anon_send(self, group_done{number, std::move(shared->results)});
                          });
    int expected = 0;
    if (shared->stage.compare_exchange_strong(expected, 1))
      watch();
    else
      finish(group_done{number, std::move(shared->results)});
  }

  void finish(const group_done& done) {
    if (done.group != group_ || !group_is_away())
      return; // The watchdog was first.
    fail_point("after_append");
    std::uint64_t events = 0;
    auto result_at = [&](std::size_t i) {
      return i < done.results.size() ? done.results[i] : append_result{};
    };
    const auto heads = std::exchange(heads_away_, {});
    for (std::size_t i = 0; i < heads.size(); ++i) {
      auto result = result_at(i);
      events += result.outcome == append_outcome::accepted ? 1 : 0;
      if (auto one = heads_of(heads[i]); one != heads_.end())
        one->wrote(result);
      notice_loss(heads[i], result);
    }
    for (std::size_t i = 0; i < appending_.size(); ++i) {
      auto result = result_at(i + heads.size());
      if (result.outcome == append_outcome::accepted)
        events += appending_[i].events;
      else if (!appending_[i].claims)
        notice_loss(appending_[i].partition, result);
      if (!planted(bug::answer_before_commit))
        caf::anon_send(appending_[i].reply_to,
                       append_done{appending_[i].ticket, std::move(result)});
    }
    appending_.clear();
    vacated_.clear();
    services_->counters.appended_events.fetch_add(events, std::memory_order_relaxed);
    services_->counters.append_groups.fetch_add(1, std::memory_order_relaxed);
    if (auto why = services_->log.failed(); why && !dead_) {
      dead_ = true;
      services_->on_fatal(*why);
    }
    tend_heads();
    ask_to_flush();
  }

  /// One tick is under way at most; it names the group that was at the log when it left. So a group
  /// has between one and two times the watchdog's time.
  void watch() {
    if (!std::exchange(watching_, true))
      delayed_send(this, std::chrono::milliseconds{watchdog_ms_}, tick_atom_v, group_);
  }

  // -- partitions ------------------------------------------------------------------------------

  bool may_write(const append_batch& batch) const {
    return batch.claims || services_->partitions.holds(batch.partition);
  }

  void refuse(const append_batch& batch) {
    caf::anon_send(batch.reply_to, append_done{batch.ticket,
                                               {append_outcome::rejected, verdict::wrong_epoch,
                                                "the partition is not held here any more"}});
  }

  /// Whether the epoch was refused because another process has raised it.
  void notice_loss(std::uint32_t partition, const append_result& result) {
    auto& mine = services_->partitions;
    if (result.outcome != append_outcome::rejected || result.why != verdict::wrong_epoch
        || !mine.holds(partition)
        || services_->log.partition_state(partition).epoch == mine.epoch_of(partition))
      return;
    mine.give_up(partition);
    drop_heads_of(partition);
    caf::anon_send(services_->directory, partition_lost{partition});
  }

  void vacate(std::uint32_t partition, pending_work until_done) {
    drop_heads_of(partition);
    if (group_is_away()) // Something of the partition may be in it; nothing joins it any more.
      vacated_.push_back(std::move(until_done));
  }

  std::list<head_writer>::iterator heads_of(std::uint32_t partition) {
    return std::ranges::find(heads_, partition, &head_writer::partition);
  }
  void drop_heads_of(std::uint32_t partition) {
    if (auto one = heads_of(partition); one != heads_.end())
      heads_.erase(one);
  }
  void write_heads_of(std::uint32_t partition) {
    drop_heads_of(partition); // Under an earlier claim.
    if (services_->settings.heads.key)
      heads_.emplace_back(services_, partition).start();
  }

  /// Follows the ledger; writes heads that are due, or wakes up when one is.
  void tend_heads() {
    if (group_is_away() || counting_)
      return; // It comes here again.
    bool more = false;
    for (auto& one : heads_)
      more = one.catch_up() || more;
    if (more) {
      counting_ = true;
      send(this, count_atom_v);
      return;
    }
    if (a_head_is_due())
      return ask_to_flush();
    if (head_timer_)
      return;
    std::optional<std::int64_t> wait;
    for (const auto& one : heads_)
      if (auto its = one.due_in())
        wait = std::min(wait.value_or(*its), *its);
    if (!wait)
      return;
    head_timer_ = true;
    delayed_send(this, std::chrono::milliseconds{*wait}, head_atom_v);
  }

  void time_out(std::uint64_t group) {
    watching_ = false;
    if (!group_is_away())
      return;
    if (group == group_)
      finish(group_done{group, {}});
    else
      watch();
  }

  void answer_early() {
    for (const auto& w : appending_)
      caf::anon_send(w.reply_to,
                     append_done{w.ticket, {append_outcome::accepted, verdict::accepted, {}}});
  }

  services_ptr services_;
  std::int64_t watchdog_ms_;
  caf::actor bouncer_;
  std::deque<append_batch> queue_;
  std::vector<writer> appending_; // Of the group at the log; empty: none.
  std::uint64_t group_ = 0;
  std::list<head_writer> heads_;          // Of the partitions that are held; none without a key.
  std::vector<std::uint32_t> heads_away_; // The group at the log begins with heads of these.
  std::vector<pending_work> vacated_;     // Who waits for the end of that group.
  bool counting_ = false;                 // A count message is under way.
  bool head_timer_ = false;               // So is a head message.
  bool flush_asked_ = false;
  bool watching_ = false;
  bool dead_ = false;
};

} // namespace

ledger_gateway spawn_ledger_gateway(caf::actor_system& sys, services_ptr s,
                                    std::int64_t watchdog_ms) {
  return sys.spawn<gateway>(std::move(s), watchdog_ms);
}

} // namespace runledger
