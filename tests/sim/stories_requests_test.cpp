#include "tests/sim/story.hpp"

namespace runledger::sim {

namespace {

using ::testing::ElementsAre;

class stories_requests : public story {};

// Goal: what comes while an append is in flight waits, and is then decided in order, on what became
// durable.
TEST_F(stories_requests, queue_while_an_append_is_in_flight) {
  begin();
  let(1, {}, ending::endless);
  auto first = accept_run(1);
  settle();
  auto& port = w.current().port;
  port.hold(true);
  auto one = post_message(w.current(), first.session, 1);
  w.run_jobs();
  ASSERT_EQ(port.held(), 1u);
  auto two = post_message(w.current(), first.session, 1);
  auto three = post_message(w.current(), first.session, 1);
  w.run_jobs();
  EXPECT_EQ(port.held(), 1u);
  EXPECT_TRUE(one->nothing() && two->nothing() && three->nothing());

  test::dice none{0};
  port.end_one(0, append_end::accepted, none);
  w.run_jobs();
  EXPECT_TRUE(one->accepted());
  EXPECT_TRUE(two->nothing() && three->nothing());
  for (int appends = 0; port.held() > 0 && appends < 2; ++appends) {
    ASSERT_EQ(port.held(), 1u);
    EXPECT_TRUE(three->nothing());
    port.end_one(0, append_end::accepted, none);
    w.run_jobs();
  }
  EXPECT_EQ(port.held(), 0u);
  ASSERT_TRUE(two->accepted() && three->accepted());
  EXPECT_EQ((**one).fact->turn, 2);
  EXPECT_EQ((**two).fact->turn, 3);
  EXPECT_EQ((**three).fact->turn, 4);
}

class stories_unknown_outcome : public story, public ::testing::WithParamInterface<append_end> {};

// Goal: after an append of unknown outcome the actor is rebuilt from the ledger, and the same
// request again makes nothing twice, whether the append had arrived or not.
TEST_P(stories_unknown_outcome, repeats_nothing) {
  begin();
  let(1, {step("a")});
  auto& server = w.current();
  server.port.hold(true);
  auto unsure = start_run(server, 1, "key");
  w.run_jobs();
  ASSERT_EQ(server.port.held(), 1u);
  test::dice none{0};
  server.port.end_one(0, GetParam(), none);
  server.port.hold(false);
  w.run_jobs();
  EXPECT_TRUE(unsure->refused(errc::outcome_unknown));

  auto again = start_run(server, 1, "key");
  until([&] { return !again->nothing(); }, "the second answer");
  ASSERT_TRUE(again->accepted());
  EXPECT_EQ((**again).replayed, GetParam() == append_end::landed);
  until_ended((**again).fact->run);
  EXPECT_EQ(w.judge.accepted_runs().size(), 1u);
  EXPECT_EQ(state_of((**again).fact->run).at, run::phase::succeeded);
  EXPECT_THAT(executions((**again).fact->run, "a"), ElementsAre(1));
}

INSTANTIATE_TEST_SUITE_P(Append, stories_unknown_outcome,
                         ::testing::Values(append_end::landed, append_end::lost),
                         [](const auto& how) { return std::string{to_string(how.param)}; });

class stories_refusals : public story, public ::testing::WithParamInterface<append_end> {
protected:
  errc told_after(errc refusal) const {
    return GetParam() == append_end::accepted ? refusal : errc::ledger_unavailable;
  }
  void end_append() {
    test::dice none{0};
    ASSERT_EQ(w.current().port.held(), 1u);
    w.current().port.end_one(0, GetParam(), none);
    w.run_jobs();
  }
};

// Goal: a refusal may rest on what was decided just before it, so it is told once that is durable,
// and is not told where that was not written.
TEST_P(stories_refusals, message_waits_for_the_cancellation_before_it) {
  begin();
  let(1, {}, ending::endless);
  auto first = accept_run(1);
  settle();
  auto& port = w.current().port;
  port.hold(true);
  post_message(w.current(), first.session, 1);
  w.run_jobs();
  auto cancelled = cancel(w.current(), first.session);
  auto message = post_message(w.current(), first.session, 1);
  w.run_jobs();
  test::dice none{0};
  port.end_one(0, append_end::accepted, none);
  w.run_jobs();
  EXPECT_TRUE(cancelled->nothing());
  EXPECT_TRUE(message->nothing());
  end_append();
  EXPECT_EQ(cancelled->accepted(), GetParam() == append_end::accepted);
  EXPECT_TRUE(message->refused(told_after(errc::session_terminated)));
  EXPECT_EQ(message->times, 1);
  port.hold(false);
}

// Goal: likewise with a slug.
TEST_P(stories_refusals, slug_waits_for_the_claim_before_it) {
  begin();
  auto create = [&](std::string slug) {
    create_agent_request ask_for;
    ask_for.context.workspace = workspace_id{"default"};
    ask_for.slug = ask_for.title = std::move(slug);
    ask_for.recipe.json = recipe_with("");
    auto told = std::make_shared<heard<agent_answer>>();
    ask(w.current(), std::move(ask_for), answer<agent_answer>{[told](auto got) {
          ++told->times;
          told->got = std::move(got);
        }});
    return told;
  };
  auto& port = w.current().port;
  port.hold(true);
  create("before");
  w.run_jobs();
  auto one = create("slug"), two = create("slug");
  w.run_jobs();
  test::dice none{0};
  port.end_one(0, append_end::accepted, none);
  w.run_jobs();
  EXPECT_TRUE(one->nothing() && two->nothing());
  port.hold(false);
  end_append();
  EXPECT_TRUE(two->refused(told_after(errc::name_taken)));
  EXPECT_EQ(two->times, 1);
}

INSTANTIATE_TEST_SUITE_P(Append, stories_refusals,
                         ::testing::Values(append_end::accepted, append_end::unavailable),
                         [](const auto& how) { return std::string{to_string(how.param)}; });

// Goal: an append that certainly failed is told as such, and leaves no event.
TEST_F(stories_requests, unavailable_ledger_leaves_no_event) {
  begin();
  let(1, {step("a")});
  auto& port = w.current().port;
  auto before = w.disk.end_offset(0);
  port.hold(true);
  auto failed = start_run(w.current(), 1, "key");
  w.run_jobs();
  test::dice none{0};
  port.end_one(0, append_end::unavailable, none);
  w.run_jobs();
  EXPECT_TRUE(failed->refused(errc::ledger_unavailable));
  EXPECT_EQ(w.disk.end_offset(0), before);
  port.hold(false);
  auto again = start_run(w.current(), 1, "key");
  until([&] { return !again->nothing(); }, "the second answer");
  ASSERT_TRUE(again->accepted());
  EXPECT_FALSE((**again).replayed);
}

// Goal: a full queue refuses without a trace, answers what it knows already, and takes the same
// request once there is room.
TEST_F(stories_requests, full_queue_refuses_without_a_trace) {
  w.settings.max_running = 1;
  w.settings.max_queued = 1;
  begin();
  let(1, {}, ending::endless);
  let(2, {step("a")});
  auto running = accept_run(1);
  settle();
  auto waiting = start_run(w.current(), 2, "waits");
  settle();
  ASSERT_TRUE(waiting->accepted());

  auto end = w.disk.end_offset(0);
  auto keyed = start_run(w.current(), 2, "comes later"), bare = start_run(w.current(), 2);
  auto message = post_message(w.current(), running.session, 2);
  auto repeated = start_run(w.current(), 2, "waits");
  settle();
  EXPECT_TRUE(keyed->refused(errc::queue_full));
  EXPECT_TRUE(bare->refused(errc::queue_full));
  EXPECT_TRUE(message->refused(errc::queue_full));
  ASSERT_TRUE(repeated->accepted());
  EXPECT_TRUE((**repeated).replayed);
  EXPECT_EQ((**repeated).fact->run, (**waiting).fact->run);
  EXPECT_EQ(w.disk.end_offset(0), end);

  cancel(w.current(), running.session);
  until_ended((**waiting).fact->run);
  auto later = start_run(w.current(), 2, "comes later");
  settle();
  ASSERT_TRUE(later->accepted());
  EXPECT_FALSE((**later).replayed);
  until_ended((**later).fact->run);
  EXPECT_EQ(state_of((**later).fact->run).at, run::phase::succeeded);
}

// Goal: a request under a key gets the same answer from whatever server it asks next, and another
// request under that key is refused.
TEST_F(stories_requests, keyed_request_is_the_same_on_another_server) {
  begin();
  let(1, {step("a")});
  let(2, {step("b")});
  auto first = start_run(w.current(), 1, "key");
  until([&] { return !first->nothing(); }, "the first answer");
  ASSERT_TRUE(first->accepted());
  auto first_message = post_message(w.current(), (**first).session, 2, "key");
  until([&] { return !first_message->nothing(); }, "the message's answer");
  ASSERT_TRUE(first_message->accepted());
  w.crash(w.current());
  w.start();

  auto again = start_run(w.current(), 1, "key"), other = start_run(w.current(), 2, "key");
  auto message_again = post_message(w.current(), (**first).session, 2, "key");
  auto other_message = post_message(w.current(), (**first).session, 1, "key");
  settle();
  ASSERT_TRUE(again->accepted() && message_again->accepted());
  EXPECT_TRUE((**again).replayed && (**message_again).replayed);
  EXPECT_EQ((**again).accepting->event.eventhash, (**first).accepting->event.eventhash);
  EXPECT_EQ((**message_again).accepting->event.eventhash,
            (**first_message).accepting->event.eventhash);
  EXPECT_EQ(*(**again).fact, *(**first).fact);
  EXPECT_TRUE(other->refused(errc::idempotency_conflict));
  EXPECT_TRUE(other_message->refused(errc::idempotency_conflict));
  until_ended((**message_again).fact->run);
  EXPECT_EQ(w.judge.accepted_runs().size(), 2u);
}

// Goal: an entity without work costs no actor, and is there again when somebody asks for it.
TEST_F(stories_requests, passivated_entities_cost_no_actor) {
  w.settings.idle_actor_ms = 1000;
  begin();
  let(1, {step("a")});
  auto first = accept_run(1);
  until_ended(first.fact->run);
  const auto& live = w.current().actors->counters.live_actors;
  EXPECT_GT(live.load(), 0u);
  until([&] { return live.load() == 0; }, "the last actor's end");

  auto next = post_message(w.current(), first.session, 1);
  settle();
  ASSERT_TRUE(next->accepted());
  EXPECT_EQ((**next).fact->turn, 2);
  until_ended((**next).fact->run);
  EXPECT_EQ(state_of((**next).fact->run).at, run::phase::succeeded);
  until([&] { return live.load() == 0; }, "the last actor's end");
}

} // namespace

} // namespace runledger::sim
