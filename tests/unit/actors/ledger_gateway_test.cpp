// Goal: writers slow down while the views lag beyond their bound, go on at full speed once these
// have caught up, and nothing is lost on the way.

#include "actors/ledger_gateway_actor.hpp"
#include "events/log/memory_log.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/sim_parts.hpp"

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scheduler/test_coordinator.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <gtest/gtest.h>

namespace runledger {

namespace {

using std::chrono::milliseconds;

/// There is nothing to run.
class no_harness final : public harness::harness_host {
public:
  harness::process_handle start(harness::process_spec,
                                std::shared_ptr<harness::process_sink>) override {
    return harness::process_handle::none;
  }
  void write(harness::process_handle, harness::outgoing_lines) override {}
  void open_run(harness::process_handle, std::string, std::int64_t, std::string) override {}
  void close_run(harness::process_handle, std::string) override {}
  void terminate(harness::process_handle, std::int64_t) override {}
  void kill(harness::process_handle) override {}
};

/// The gateway over a ledger in memory; messages are handled and time goes on by hand.
class ledger_gateway_actor : public ::testing::Test {
protected:
  static constexpr std::int64_t lag_max = 10;

  ledger_gateway_actor() {
    config_.set("scheduler.policy", caf::atom("testing"));
    system_ = std::make_unique<caf::actor_system>(config_);
    coordinator_ = &dynamic_cast<caf::scheduler::test_coordinator&>(system_->scheduler());
    const auto claim = *take_partition(log_, 0, "node-1", clock_, ids_);
    epoch_ = claim.epoch;
    views_at_ = log_.end_offset(0);
    engine_settings settings;
    settings.max_view_lag = lag_max;
    engine_parts parts{
        log_,
        blobs_,
        harness_,
        clock_,
        [this] { return static_cast<std::uint64_t>(log_.end_offset(0) - views_at_); },
        {},
        {}};
    services_ = std::make_shared<services>(settings, parts, ids_, [](std::string_view) {});
    services_->partitions.take(claim);
    gateway_ = spawn_ledger_gateway(*system_, services_);
    sink_ = system_->spawn([this]() -> append_sink::behavior_type {
      return {[this](const append_done& done) { done_.push_back(done); }};
    });
  }
  ~ledger_gateway_actor() override {
    caf::anon_send_exit(gateway_, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(sink_, caf::exit_reason::user_shutdown);
    gateway_ = nullptr;
    sink_ = nullptr;
    coordinator_->run();
  }

  /// A writer asks for one event of a stream of its own.
  void ask() {
    append_batch batch;
    batch.ticket = ++asked_;
    batch.request.events.push_back(test::stream_maker{test::session_name(asked_), epoch_}.next());
    batch.reply_to = sink_;
    caf::anon_send(gateway_, std::move(batch));
  }
  void pass(milliseconds by) {
    coordinator_->advance_time(by);
    coordinator_->run();
  }
  std::uint64_t groups() const { return services_->counters.append_groups.load(); }
  void fill_to_the_bound() {
    while (log_.end_offset(0) - views_at_ <= lag_max) {
      ask();
      coordinator_->run();
    }
  }

  test::fixed_clock clock_;
  test::counting_ids ids_;
  test::memory_blob_store blobs_;
  memory_log log_;
  no_harness harness_;
  std::int64_t views_at_ = 0;
  caf::actor_system_config config_;
  std::unique_ptr<caf::actor_system> system_;
  caf::scheduler::test_coordinator* coordinator_ = nullptr;
  services_ptr services_;
  ledger_gateway gateway_;
  append_sink sink_;
  std::uint64_t epoch_ = 0, asked_ = 0;
  std::vector<append_done> done_;
};

} // namespace

TEST_F(ledger_gateway_actor, waits_for_nothing_while_the_views_keep_up) {
  for (std::uint64_t n = 1; n <= 3 * lag_max; ++n) {
    views_at_ = log_.end_offset(0);
    ask();
    coordinator_->run();
    ASSERT_EQ(done_.size(), n);
  }
}

TEST_F(ledger_gateway_actor, slows_down_while_the_views_are_too_far_behind) {
  fill_to_the_bound();
  const auto before = groups();
  auto answered = done_.size();
  for (int group = 1; group <= 20; ++group) {
    ask();
    coordinator_->run();
    ask(); // Meanwhile: it joins the group.
    pass(milliseconds{1});
    ASSERT_EQ(done_.size(), answered) << "the group went out at once";
    pass(milliseconds{1});
    answered += 2;
    ASSERT_EQ(done_.size(), answered) << "slow, not stopped";
    EXPECT_EQ(groups(), before + static_cast<std::uint64_t>(group));
  }
}

TEST_F(ledger_gateway_actor, goes_on_once_they_have_caught_up_and_loses_nothing) {
  fill_to_the_bound();
  for (int i = 0; i < 5; ++i) {
    ask();
    pass(milliseconds{i});
  }
  pass(milliseconds{10});
  views_at_ = log_.end_offset(0);
  ask();
  coordinator_->run();
  ASSERT_EQ(done_.size(), asked_) << "it still waits";
  for (std::uint64_t n = 1; n <= asked_; ++n) {
    EXPECT_EQ(done_[n - 1].ticket, n);
    EXPECT_EQ(done_[n - 1].result.outcome, append_outcome::accepted);
    EXPECT_EQ(log_.read_stream(stream_id{test::session_name(n)}, 1, 10)->size(), 1U);
  }
}

} // namespace runledger
