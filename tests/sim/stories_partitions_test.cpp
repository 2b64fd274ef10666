#include "actors/partition_taker.hpp"
#include "actors/request_home.hpp"
#include "tests/sim/story.hpp"

#include <numeric>

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A ledger with several topics and partitions.
class stories_partitions : public story {
protected:
  stories_partitions() : story({{"runs", 3}, {"workers", 2}, {"workspaces", 1}, {"catalog", 2}}) {}

  std::uint32_t home_of(const stream_id& stream) const {
    return partition_of(stream, stream.value, w.disk.partition_names()).value();
  }
  std::uint32_t home_of(const session_id& session) const { return home_of(stream_of(session)); }

  /// All but one.
  std::vector<std::uint32_t> others(std::uint32_t but) const {
    std::vector<std::uint32_t> out(w.disk.partition_count());
    std::iota(out.begin(), out.end(), 0U);
    std::erase(out, but);
    return out;
  }
  void take(server& at, std::uint32_t partition) {
    bool done = false;
    w.take(at, {partition}, [&] { done = true; });
    until([&] { return done; }, "the partition to be taken");
    ASSERT_TRUE(at.actors->partitions.holds(partition));
  }
  void release(server& at, std::uint32_t partition) {
    bool done = false;
    w.release(at, {partition}, [&] { done = true; });
    until([&] { return done; }, "the partition to be released");
    ASSERT_FALSE(at.actors->partitions.holds(partition));
  }
  /// A second server, which holds this one and nothing else.
  server& start_for(std::uint32_t partition) {
    w.settings.partitions = {partition};
    return w.start();
  }

  template <class T>
  static void expect_not_owner(const heard_ptr<T>& told, std::uint32_t partition) {
    ASSERT_TRUE(told->refused(errc::not_owner));
    EXPECT_EQ(told->got->error().partition, partition);
  }

  /// A run in the middle of its second step.
  accepted_run begin_run_of_two_steps() {
    begin(recipe_with(R"("max_attempts":1)"));
    let(1, {step("a"), step("b")});
    const auto got = accept_run(1);
    until([&] { return !executions(got.fact->run, "b").empty(); }, "the second step's execution");
    return got;
  }
  void expect_unharmed(const run_id& run) {
    until_ended(run);
    const auto& state = state_of(run);
    EXPECT_EQ(state.at, run::phase::succeeded);
    EXPECT_EQ(state.attempt, 2);
    EXPECT_EQ(state.failures, 0);
    EXPECT_THAT(executions(run, "a"), ElementsAre(1));
    EXPECT_EQ(terminal_events(run), 1);
  }
};

// Goal: on a ledger of many partitions that one server holds everything works as on one.
TEST_F(stories_partitions, one_server_holds_all) {
  begin();
  let(1, {step("a"), usage("u", 5)});
  std::set<std::uint32_t> used;
  for (int i = 0; i < 12; ++i) {
    const auto got = accept_run(1);
    used.insert(home_of(got.session));
    until_ended(got.fact->run);
    EXPECT_EQ(state_of(got.fact->run).at, run::phase::succeeded);
    auto next = post_message(w.current(), got.session, 1);
    settle();
    ASSERT_TRUE(next->accepted());
    until_ended((**next).fact->run);
  }
  EXPECT_THAT(used, ElementsAre(0U, 1U, 2U));
  EXPECT_THAT(w.lost, IsEmpty());
}

// Goal: a released partition is left in peace: its run's harness is cut off, requests are refused
// with its number, and the next holder ends the run without counting the attempt.
TEST_F(stories_partitions, released_run_goes_on_elsewhere) {
  const auto got = begin_run_of_two_steps();
  const auto home = home_of(got.session);
  auto& first = w.current();
  release(first, home);
  EXPECT_EQ(first.actors->counters.waiting_runs.load(), 0U);
  auto refused = post_message(first, got.session, 1);
  auto refused_too = cancel(first, got.session);
  settle();
  expect_not_owner(refused, home);
  expect_not_owner(refused_too, home);
  w.advance(milliseconds{10'000});
  settle();
  EXPECT_EQ(first.actors->counters.running_runs.load(), 0U);
  EXPECT_EQ(first.host.alive(), 0U);
  const auto epoch = w.disk.partition_state(home).epoch;

  start_for(home);
  expect_unharmed(got.fact->run);
  EXPECT_EQ(w.disk.partition_state(home).epoch, epoch + 1);
  EXPECT_THAT(w.lost, IsEmpty());
}

// Goal: the same server may take a partition again, as often as it likes.
TEST_F(stories_partitions, released_run_goes_on_here) {
  const auto got = begin_run_of_two_steps();
  const auto home = home_of(got.session);
  for (int i = 0; i < 3; ++i) {
    release(w.current(), home);
    take(w.current(), home);
  }
  until_ended(got.fact->run);
  EXPECT_EQ(state_of(got.fact->run).at, run::phase::succeeded);
  EXPECT_EQ(state_of(got.fact->run).failures, 0);
  EXPECT_THAT(executions(got.fact->run, "a"), ElementsAre(1));
}

// Goal: who writes under a claim that another process has overtaken hears that the partition is
// lost; its actors end, the harness is cut off, and the run goes on with the next claim.
TEST_F(stories_partitions, lost_partition_is_noticed) {
  const auto got = begin_run_of_two_steps();
  const auto home = home_of(got.session);
  auto& first = w.current();
  w.claim_elsewhere(home);
  auto refused = post_message(first, got.session, 1);
  until([&] { return !w.lost.empty(); }, "the loss to be noticed");
  settle();
  EXPECT_THAT(w.lost, ElementsAre(home));
  expect_not_owner(refused, home);
  EXPECT_FALSE(first.actors->partitions.holds(home));
  for (auto other : others(home))
    EXPECT_TRUE(first.actors->partitions.holds(other));
  w.advance(milliseconds{10'000});
  settle();
  EXPECT_EQ(first.actors->counters.running_runs.load(), 0U);
  EXPECT_EQ(first.host.alive(), 0U);
  take(first, home);
  expect_unharmed(got.fact->run);
}

// Goal: a claim of another process is noticed where nobody appends, by who looks; what is held by
// its own last claim stays.
TEST_F(stories_partitions, a_claim_is_noticed_without_an_append) {
  begin();
  auto& first = w.current();
  look_for_claims(first.actors);
  settle();
  EXPECT_THAT(w.lost, IsEmpty());
  w.claim_elsewhere(1);
  settle();
  EXPECT_THAT(w.lost, IsEmpty()) << "nothing is written there";
  look_for_claims(first.actors);
  look_for_claims(first.actors);
  settle();
  EXPECT_THAT(w.lost, ElementsAre(1U));
  EXPECT_FALSE(first.actors->partitions.holds(1));
  take(first, 1);
  look_for_claims(first.actors);
  settle();
  EXPECT_THAT(w.lost, ElementsAre(1U));
  EXPECT_TRUE(first.actors->partitions.holds(1));
}

// Goal: a release waits for what is at the ledger, and who asked for that hears how it ended.
TEST_F(stories_partitions, release_waits_for_the_ledger) {
  begin();
  let(1, {step("a")});
  const auto got = accept_run(1);
  until_ended(got.fact->run);
  auto& first = w.current();
  first.port.hold(true);
  auto told = post_message(first, got.session, 1);
  until([&] { return first.port.held() > 0; }, "the append");
  bool done = false;
  w.release(first, {home_of(got.session)}, [&] { done = true; });
  w.run_jobs();
  EXPECT_FALSE(done);
  EXPECT_TRUE(told->nothing());
  first.port.hold(false);
  until([&] { return done; }, "the release");
  EXPECT_TRUE(told->accepted());
  take(first, home_of(got.session));
  until_ended((**told).fact->run);
}

// Goal: runs that wait for a slot leave the queue with their partition, give their places back, and
// stand in line again where the partition is next.
TEST_F(stories_partitions, waiting_runs_leave_with_their_partition) {
  w.settings.max_running = 1;
  begin();
  let(1, {}, ending::endless);
  let(2, {step("a")});
  const auto endless = accept_run(1);
  until([&] { return state_of(endless.fact->run).at == run::phase::running; }, "the first run");
  accepted_run waiting = accept_run(2);
  while (home_of(waiting.session) == home_of(endless.session))
    waiting = accept_run(2);
  settle();
  auto& first = w.current();
  const auto before = first.actors->counters.waiting_runs.load();
  const auto home = home_of(waiting.session);
  release(first, home);
  settle();
  EXPECT_EQ(first.actors->counters.waiting_runs.load(), before - 1);
  EXPECT_EQ(first.actors->counters.queued_runs.load(), before - 1);
  take(first, home);
  settle();
  EXPECT_EQ(first.actors->counters.waiting_runs.load(), before);
  cancel(first, endless.session);
  until_ended(waiting.fact->run);
  EXPECT_EQ(state_of(waiting.fact->run).at, run::phase::succeeded);
}

// Goal: a keyed request names its partition before it is decided; whoever else holds that is sent
// it as it is, and it is one request.
TEST_F(stories_partitions, keyed_request_is_sent_to_the_holder) {
  begin();
  let(1, {step("a")});
  start_run_request asked;
  asked.context.workspace = workspace_id{"default"};
  asked.context.idempotency_key = "key";
  asked.agent = agent.value;
  const auto stream =
      deciding_stream(asked, [](const auto& a, const auto&) { return std::optional{agent_id{a}}; });
  const auto home = home_of(stream);
  auto& first = w.current();
  release(first, home);
  auto refused = start_run(first, 1, "key");
  settle();
  expect_not_owner(refused, home);
  take(first, home);
  auto taken = start_run(first, 1, "key");
  settle();
  ASSERT_TRUE(taken->accepted());
  EXPECT_EQ(stream_of((**taken).session), stream);
  EXPECT_FALSE((**taken).replayed);
  until_ended((**taken).fact->run);
}

// Goal: what gets a fresh id gets one that lives in a partition that is held here.
TEST_F(stories_partitions, fresh_ids_live_here) {
  begin();
  let(1, {step("a")});
  auto& first = w.current();
  release(first, 0);
  release(first, 2);
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(home_of(accept_run(1).session), 1U);
  settle();
}

// Goal: an agent that lives elsewhere cannot be asked for its version, and the answer says where it
// lives; nothing is accepted by halves.
TEST_F(stories_partitions, agent_elsewhere_is_not_asked) {
  begin();
  let(1, {step("a")});
  const auto home = home_of(stream_of(agent));
  release(w.current(), home);
  auto refused = start_run(w.current(), 1, "key");
  settle();
  expect_not_owner(refused, home);
  EXPECT_TRUE(w.judge.accepted_runs().empty());
  EXPECT_EQ(w.current().actors->counters.waiting_runs.load(), 0U);
  take(w.current(), home);
  auto taken = start_run(w.current(), 1, "key");
  settle();
  EXPECT_TRUE(taken->accepted());
}

// Goal: each partition gets its own signed heads, again after it was taken again.
TEST_F(stories_partitions, partitions_have_tree_heads) {
  w.settings.heads.key = ed25519::private_key::from_seed(sha256("node-1"));
  begin();
  let(1, {step("a")});
  for (int i = 0; i < 6; ++i)
    until_ended(accept_run(1).fact->run);
  auto quiet = [&] {
    for (int i = 0; i < 10; ++i) {
      w.advance(milliseconds{1000});
      settle();
    }
    w.judge.catch_up();
    return w.judge.unsigned_events() == 0;
  };
  EXPECT_TRUE(quiet());
  release(w.current(), 1);
  take(w.current(), 1);
  for (int i = 0; i < 6; ++i)
    until_ended(accept_run(1).fact->run);
  EXPECT_TRUE(quiet());
}

} // namespace

} // namespace runledger::sim
