#include "tests/sim/story.hpp"

namespace runledger::sim {

namespace {

/// A client that asks for the same agent again and again before it is answered.
class stories_names : public story, public ::testing::WithParamInterface<append_end> {
protected:
  static constexpr std::size_t requests = 400;

  heard_ptr<agent_answer> create(const std::string& key) {
    create_agent_request ask_for;
    ask_for.context.workspace = workspace_id{"default"};
    ask_for.context.idempotency_key = key;
    ask_for.slug = ask_for.title = "repeated";
    ask_for.recipe.json = recipe_with("");
    auto told = std::make_shared<heard<agent_answer>>();
    ask(w.current(), std::move(ask_for), answer<agent_answer>{[told](auto got) {
          ++told->times;
          told->got = std::move(got);
        }});
    return told;
  }

  /// Messages handled until only time can change anything.
  std::size_t handle_all() {
    std::size_t handled = 0;
    for (; w.jobs() > 0; ++handled)
      w.run_job();
    return handled;
  }
};

// Goal: a request that is repeated while it is under way costs some messages each time, not some
// for each of the others; also where the ledger could not write it.
TEST_P(stories_names, repeated_creation_costs_the_same_each_time) {
  begin();
  auto& port = w.current().port;
  port.hold(true);
  std::vector<heard_ptr<agent_answer>> told;
  for (std::size_t i = 0; i < requests; ++i)
    told.push_back(create("key"));
  auto handled = handle_all();
  test::dice none{0};
  ASSERT_EQ(port.held(), 1u);
  port.end_one(0, append_end::accepted, none); // The claim.
  handled += handle_all();
  ASSERT_EQ(port.held(), 1u);
  port.end_one(0, GetParam(), none); // The agent.
  handled += handle_all();
  EXPECT_EQ(port.held(), 0u);
  port.hold(false);
  EXPECT_LT(handled, 10 * requests);
  for (std::size_t i = 0; i < requests; ++i) {
    ASSERT_EQ(told[i]->times, 1) << i;
    if (GetParam() != append_end::accepted) {
      EXPECT_TRUE(told[i]->refused(errc::ledger_unavailable)) << i;
      continue;
    }
    ASSERT_TRUE(told[i]->accepted()) << i;
    EXPECT_EQ((**told[i]).id, (**told[0]).id);
    EXPECT_EQ((**told[i]).replayed, i > 0) << i;
  }
  auto later = create("key");
  settle();
  EXPECT_TRUE(later->accepted());
}

INSTANTIATE_TEST_SUITE_P(Append, stories_names,
                         ::testing::Values(append_end::accepted, append_end::unavailable),
                         [](const auto& how) { return std::string{to_string(how.param)}; });

} // namespace

} // namespace runledger::sim
