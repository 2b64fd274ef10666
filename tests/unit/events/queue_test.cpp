// Goal: a queue grants a run to one worker at a time, and an old lease never counts again.

#include "events/queue.hpp"
#include "events/recipe.hpp"

#include <gtest/gtest.h>

namespace runledger::queue {
namespace {

const worker_id first{"wrk_1"}, second{"wrk_2"};
const run_id run{"run_1"}, other{"run_2"};

/// A queue that obeys; what it refuses fails the test.
struct driven {
  state now;
  std::vector<event> ask(const command& asked) {
    auto decided = decide(now, asked);
    if (!decided) {
      ADD_FAILURE() << "refused: " << static_cast<int>(decided.error());
      return {};
    }
    for (const auto& fact : decided->facts) {
      EXPECT_TRUE(fits(now, fact));
      now = evolve(std::move(now), fact);
    }
    return decided->facts;
  }
  rejection refusal(const command& asked) const {
    auto decided = decide(now, asked);
    return decided ? rejection{} : decided.error();
  }
};

driven with_workers() {
  driven q;
  q.ask(join{first, "one", 1});
  q.ask(join{second, "two", 2});
  return q;
}

// Goal: a run has one lease, its epoch grows, and a worker has no more leases than slots.
TEST(Queue, GrantsWhatFits) {
  auto q = with_workers();
  q.ask(grant{run, first, 1});
  ASSERT_NE(find(q.now, "run_1", 1), nullptr);
  EXPECT_EQ(q.refusal(grant{run, second, 1}), rejection::already_leased);
  EXPECT_EQ(q.refusal(grant{other, first, 1}), rejection::no_free_slot);
  EXPECT_EQ(q.refusal(grant{other, worker_id{"wrk_3"}, 1}), rejection::unknown_worker);
  q.ask(grant{other, second, 4});
  EXPECT_EQ(q.now.last_epoch, 2);
  EXPECT_EQ(q.now.leases.at("run_2").attempt, 4);
}

// Goal: a worker that comes again as it was is no event; one with more slots is.
TEST(Queue, JoiningAgainIsQuiet) {
  auto q = with_workers();
  EXPECT_TRUE(q.ask(join{first, "one", 1}).empty());
  EXPECT_EQ(q.ask(join{first, "one", 3}).size(), 1U);
  EXPECT_EQ(q.now.workers.at("wrk_1").slots, 3);
}

// Goal: what is released under an old epoch leaves the new lease alone.
TEST(Queue, AnOldLeaseIsOver) {
  auto q = with_workers();
  q.ask(grant{run, first, 1});
  q.ask(expire{first});
  EXPECT_FALSE(q.now.workers.contains("wrk_1"));
  q.ask(grant{run, second, 2});
  EXPECT_EQ(q.refusal(release{run, 1, "done"}), rejection::not_leased);
  EXPECT_NE(find(q.now, "run_1", 2), nullptr);
  EXPECT_EQ(find(q.now, "run_1", 1), nullptr);
  q.ask(release{run, 2, "done"});
  EXPECT_TRUE(q.now.leases.empty());
  EXPECT_TRUE(open(q.now)) << "a worker is there still";
  q.ask(leave{second, "drained"});
  EXPECT_FALSE(open(q.now));
}

// Goal: a worker that goes gives every lease back before, and a silent one loses each.
TEST(Queue, WhoGoesLeavesNothing) {
  auto q = with_workers();
  q.ask(grant{run, second, 1});
  q.ask(grant{other, second, 1});
  auto facts = q.ask(leave{second, "drained"});
  ASSERT_EQ(facts.size(), 3U);
  EXPECT_EQ(std::get<lease_released>(facts[0]).reason, "returned");
  EXPECT_TRUE(std::holds_alternative<worker_left>(facts[2]));
  q.ask(join{second, "two", 2});
  q.ask(grant{run, second, 2});
  facts = q.ask(expire{second});
  ASSERT_EQ(facts.size(), 2U);
  EXPECT_EQ(std::get<lease_expired>(facts[0]).lease_epoch, 3);
}

// Goal: any prefix of what a command leads to is a history from which it can be asked again.
TEST(Queue, EveryPrefixContinues) {
  auto q = with_workers();
  q.ask(grant{run, second, 1});
  q.ask(grant{other, second, 1});
  auto decided = decide(q.now, expire{second});
  ASSERT_TRUE(decided);
  for (std::size_t cut = 0; cut <= decided->facts.size(); ++cut) {
    driven cut_off{q.now};
    for (std::size_t i = 0; i < cut; ++i)
      cut_off.now = evolve(std::move(cut_off.now), decided->facts[i]);
    if (cut < decided->facts.size())
      cut_off.ask(expire{second});
    EXPECT_FALSE(cut_off.now.workers.contains("wrk_2")) << cut;
    EXPECT_TRUE(cut_off.now.leases.empty()) << cut;
  }
}

// Goal: a stored lease of an unknown worker, or with an epoch that was used, is damage.
TEST(Queue, ImpossibleFactsDoNotFit) {
  auto q = with_workers();
  q.ask(grant{run, first, 1});
  EXPECT_FALSE(fits(q.now, lease_granted{other, worker_id{"wrk_9"}, 2, 1}));
  EXPECT_FALSE(fits(q.now, lease_granted{other, second, 1, 1}));
  EXPECT_FALSE(fits(q.now, lease_granted{run, second, 2, 1}));
  EXPECT_FALSE(fits(q.now, lease_released{run, first, 7, 1, "done"}));
  EXPECT_FALSE(fits(q.now, worker_left{first, "drained"})) << "it has a lease";
}

// Goal: a queue's name cannot be mistaken for another stream's.
TEST(Queue, Names) {
  for (const char* good : {"q", "gpu-a.1_x", "A"})
    EXPECT_TRUE(is_name(good)) << good;
  for (const auto& bad : {std::string{}, std::string{"a/b"}, std::string{"ä"}, std::string{"a b"},
                          std::string(65, 'a')})
    EXPECT_FALSE(is_name(bad)) << bad;
}

// Goal: a recipe of kind `worker` names its queue, and nothing of a process is asked of it.
TEST(Queue, RecipesNameIt) {
  auto read = [](const std::string& harness) {
    auto parsed = json::parse(R"({"harness":)" + harness + "}");
    return parse_recipe(parsed->root());
  };
  auto good = read(R"({"kind":"worker","queue":"gpu"})");
  ASSERT_TRUE(good);
  EXPECT_EQ(good->queue, "gpu");
  EXPECT_FALSE(read(R"({"kind":"worker"})"));
  EXPECT_FALSE(read(R"({"kind":"worker","queue":"a/b"})"));
  EXPECT_FALSE(read(R"({"kind":"worker","queue":7})"));
}

} // namespace
} // namespace runledger::queue
