#include "actors/partition_taker.hpp"

#include "actors/node_registrar.hpp"

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/send.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <algorithm>
#include <chrono>
#include <deque>

namespace runledger {

namespace {

constexpr std::size_t recovery_page = 500;
constexpr std::chrono::seconds retry_after{1};

/// One step at a time: each append's answer leads to the next step.
class taker final : public append_sink::base {
public:
  taker(caf::actor_config& cfg, services_ptr s, std::vector<std::uint32_t> partitions,
        std::function<void(std::vector<take_failure>)> done)
      : append_sink::base(cfg),
        services_(std::move(s)),
        asked_(partitions),
        wanted_(partitions.begin(), partitions.end()),
        done_(std::move(done)) {}

  behavior_type make_behavior() override {
    return {[this](const append_done& end) { go_on(end); }};
  }
  const char* name() const override { return "partition taker"; }

private:
  /// Begins with ticket 0, of no append.
  void go_on(const append_done& end) {
    if (end.ticket != ticket_)
      return;
    if (taking_ && ticket_ > 0)
      taking_->wrote(end.result);
    else if (registering_ && end.result.outcome != append_outcome::accepted)
      services_->warn("the node's key is not registered: " + end.result.detail);
    while (!wanted_.empty())
      if (!take_next())
        return;
    if (!std::exchange(registering_, true) && register_key())
      return;
    caf::anon_send(services_->directory, taking_over{asked_});
    const bool any = !taken_.empty();
    recover(
        system(), services_, std::move(taken_),
        [s = services_, any, done = std::move(done_), failures = std::move(failures_)]() mutable {
          if (any)
            s->folders.remove_left();
          if (done)
            done(std::move(failures));
        });
    quit();
  }

  /// False: an append has to be answered first.
  bool take_next() {
    auto partition = wanted_.front();
    auto& mine = services_->partitions;
    if (partition >= mine.count()) {
      failures_.push_back({partition, {claim_error::kind::corrupt, "there is no such partition"}});
      wanted_.pop_front();
      return true;
    }
    if (!taking_ && (mine.holds(partition) || mine.is_leaving(partition))) {
      if (mine.is_leaving(partition))
        failures_.push_back(
            {partition, {claim_error::kind::unavailable, "it is on its way out here"}});
      wanted_.pop_front();
      return true;
    }
    if (!taking_)
      taking_.emplace(services_->log, partition, services_->settings.node, services_->clock,
                      services_->ids);
    auto step = taking_->next();
    if (auto* request = std::get_if<append_request>(&step)) {
      // The founding event of the ledger may stand in another partition.
      auto home = partition_of(request->events.front()->event.stream, {}, mine.names());
      append(std::move(*request), home.value_or(partition));
      return false;
    }
    if (auto* claim = std::get_if<partition_claim>(&step)) {
      mine.take(*claim);
      services_->ledger_id = claim->ledger;
      caf::anon_send(services_->gateway, partition_taken{partition});
      taken_.push_back(partition);
    } else {
      failures_.push_back({partition, std::get<claim_error>(std::move(step))});
    }
    taking_.reset();
    wanted_.pop_front();
    return true;
  }

  /// If the node's stream lives in what was taken. False: there is nothing to append.
  bool register_key() {
    const auto& s = *services_;
    const auto own = node_stream_of(s.settings.node);
    const auto home = s.partitions.home_of(own, own.value);
    if (!s.settings.heads.key || !home)
      return false;
    if (std::ranges::find(taken_, *home) == taken_.end()) {
      ask_for_registration(*services_);
      return false;
    }
    auto request = node::registration(s.log, s.partitions.claim_of(*home), s.settings.node,
                                      s.settings.heads.key->public_part(), s.clock);
    if (!request)
      s.warn(request.error().detail);
    if (!request || request->events.empty())
      return false;
    append(std::move(*request), *home);
    return true;
  }

  void append(append_request request, std::uint32_t partition) {
    append_batch batch;
    batch.ticket = ++ticket_;
    batch.request = std::move(request);
    batch.reply_to = caf::actor_cast<append_sink>(this);
    batch.partition = partition;
    batch.claims = taking_.has_value();
    caf::anon_send(services_->gateway, std::move(batch));
  }

  services_ptr services_;
  std::vector<std::uint32_t> asked_;
  std::deque<std::uint32_t> wanted_; // The rest of them.
  std::vector<std::uint32_t> taken_;
  std::vector<take_failure> failures_;
  std::function<void(std::vector<take_failure>)> done_;
  std::optional<partition_taking> taking_; // Of the first in `wanted_`.
  std::uint64_t ticket_ = 0;
  bool registering_ = false;
};

/// Wakes a page at a time and gives way to the actors that it woke.
class recoverer {
public:
  recoverer(services_ptr s, std::vector<std::uint32_t> partitions, std::function<void()> done)
      : services_(std::move(s)),
        left_(partitions.begin(), partitions.end()),
        done_(std::move(done)),
        hold_(std::make_shared<const recovery_under_way>(services_->dispatcher)) {}

  void wake_page(caf::event_based_actor* self) {
    if (left_.empty())
      return end(self);
    auto page = services_->log.unfinished(left_.front(), after_, recovery_page);
    if (!page) {
      services_->warn("unfinished work cannot be listed: " + page.error().detail);
      self->delayed_send(self, retry_after, flush_atom_v);
      return;
    }
    for (const auto& one : *page) {
      if (kind_of(one.stream) == stream_kind::run)
        services_->folders.keep(run_id{one.stream.value});
      caf::anon_send(services_->directory, wake_stream{one.stream, false, hold_, left_.front()});
    }
    services_->counters.recovered_streams.fetch_add(page->size(), std::memory_order_relaxed);
    if (page->size() == recovery_page) {
      after_ = page->back().stream;
    } else {
      after_ = {};
      left_.pop_front();
    }
    if (left_.empty())
      return end(self);
    self->send(self, flush_atom_v);
  }

private:
  void end(caf::event_based_actor* self) {
    hold_.reset();
    if (done_)
      std::exchange(done_, nullptr)();
    self->quit();
  }

  services_ptr services_;
  std::deque<std::uint32_t> left_;
  stream_id after_;
  std::function<void()> done_;
  recovery_hold hold_;
};

} // namespace

void take_and_recover(caf::actor_system& sys, const services_ptr& s,
                      std::vector<std::uint32_t> partitions,
                      std::function<void(std::vector<take_failure>)> done) {
  auto one = sys.spawn<taker>(s, std::move(partitions), std::move(done));
  caf::anon_send(one, append_done{});
}

void recover(caf::actor_system& sys, const services_ptr& s, std::vector<std::uint32_t> partitions,
             std::function<void()> done) {
  caf::anon_send(s->dispatcher, recovery_begins{});
  auto work = std::make_shared<recoverer>(s, std::move(partitions), std::move(done));
  auto one = sys.spawn([work](caf::event_based_actor* self) -> caf::behavior {
    return {[self, work](flush_atom) { work->wake_page(self); }};
  });
  caf::anon_send(one, flush_atom_v);
}

pending_work after_the_last(std::function<void()> then) {
  return {static_cast<const void*>(nullptr), [then = std::move(then)](const void*) { then(); }};
}

void look_for_claims(const services_ptr& s) {
  auto& mine = s->partitions;
  for (auto partition : mine.held()) {
    if (s->log.partition_state(partition).epoch <= mine.epoch_of(partition))
      continue;
    mine.give_up(partition);
    caf::anon_send(s->directory, partition_lost{partition});
  }
}

} // namespace runledger
