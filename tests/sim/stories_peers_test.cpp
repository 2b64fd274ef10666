#include "actors/request_home.hpp"
#include "tests/sim/story.hpp"

#include <future>
#include <numeric>

namespace runledger::sim {

namespace {

using std::chrono::milliseconds;
using ::testing::AnyOf;
using ::testing::ElementsAre;

const workspace_id here{"default"};

/// Two servers that know of each other; each holds some partitions.
class stories_peers : public story {
protected:
  stories_peers() : story({{"runs", 2}, {"workers", 2}, {"workspaces", 1}, {"catalog", 4}}) {
    w.several = true;
  }

  std::uint32_t home_of(const stream_id& stream) const {
    return partition_of(stream, stream.value, w.disk.partition_names()).value();
  }
  /// The first server keeps all but these, which a second one takes.
  server& part(std::vector<std::uint32_t> given) {
    auto& first = w.current();
    bool released = false;
    w.release(first, given, [&] { released = true; });
    until([&] { return released; }, "the release");
    w.settings.partitions = std::move(given);
    auto& second = w.start();
    settle();
    return second;
  }
  server& first() { return *w.servers().front(); }

  /// An agent that this key makes, and where it lives.
  stream_id keyed_agent(const std::string& key) const {
    return stream_id{"ag_" + derive_ulid({"request", here.value, create_agent_route, key})};
  }
  /// A key whose agent lives where the names do not.
  std::string key_elsewhere() const {
    for (int n = 0;; ++n) {
      auto key = "key-" + std::to_string(n);
      if (home_of(keyed_agent(key)) != home_of(names_stream_of(here)))
        return key;
    }
  }
  heard_ptr<agent_answer> create(server& at, const std::string& key, const std::string& slug,
                                 int body = 0) {
    create_agent_request ask_for;
    ask_for.context.workspace = here;
    ask_for.context.principal = "key_client";
    ask_for.context.idempotency_key = key;
    ask_for.context.fingerprint = sha256(slug + std::to_string(body));
    ask_for.slug = ask_for.title = slug;
    ask_for.recipe.json = recipe_with("");
    return heard_from<agent_answer>(at, std::move(ask_for));
  }
  template <class Answer, class Request>
  heard_ptr<Answer> heard_from(server& at, Request request) {
    auto told = std::make_shared<heard<Answer>>();
    ask(at, std::move(request), answer<Answer>{[told](auto got) {
          ++told->times;
          told->got = std::move(got);
        }});
    return told;
  }
  /// Until a command is on its way.
  void until_a_letter() {
    until([&] { return !w.letters.empty(); }, "a command between the servers");
  }
  /// Everything goes on; every command of this world comes to this end first.
  void settle_with(journey how, int times) {
    for (int i = 0; i < times; ++i) {
      until_a_letter();
      w.deliver(0, how);
    }
    for (int i = 0; i < 20; ++i) {
      settle();
      w.advance(milliseconds{500});
    }
    settle();
  }
};

// Goal: an agent whose names live on one server and whose own stream on another is made, is shown
// as it is, and bears its name, whatever becomes of the command in between.
TEST_F(stories_peers, agent_is_created_elsewhere) {
  begin();
  const auto key = key_elsewhere();
  auto& second = part({home_of(keyed_agent(key))});
  int number = 0;
  for (auto how : {journey::arrives, journey::lost, journey::answer_lost, journey::doubled}) {
    std::string each;
    do
      each = "key-" + std::to_string(number++);
    while (home_of(keyed_agent(each)) != home_of(keyed_agent(key)));
    const auto slug = "slug-" + each;
    auto made = create(first(), each, slug);
    settle_with(how, 1);
    ASSERT_TRUE(made->accepted()) << static_cast<int>(how);
    EXPECT_EQ((**made).id.value, keyed_agent(each).value);
    EXPECT_EQ((**made).state->slug, slug);
    EXPECT_FALSE((**made).replayed);
    EXPECT_THAT(names_of(keyed_agent(each)), ElementsAre("agent.created"));
    auto again = create(first(), each, slug);
    auto other = create(first(), each, slug, 1);
    auto taken = create(first(), "", slug);
    settle();
    ASSERT_TRUE(again->accepted());
    EXPECT_TRUE((**again).replayed);
    EXPECT_TRUE(other->refused(errc::idempotency_conflict));
    EXPECT_TRUE(taken->refused(errc::name_taken));
  }
  EXPECT_TRUE(second.actors->partitions.holds(home_of(keyed_agent(key))));
}

// Goal: a creation that nobody can carry out ends, its caller hears that nothing is certain, and
// its name is not lost: another may have it. The command that comes too late makes nothing.
TEST_F(stories_peers, ghost_gives_its_name_away) {
  begin();
  const auto key = key_elsewhere();
  const auto home = home_of(keyed_agent(key));
  bool released = false;
  w.release(first(), {home}, [&] { released = true; });
  until([&] { return released; }, "the release");
  auto made = create(first(), key, "ghost");
  until_a_letter();
  auto late = std::move(w.letters.front());
  w.letters.clear();
  late.to = {};
  until([&] { return made->times > 0; }, "the end of the creation");
  EXPECT_TRUE(made->refused(errc::outcome_unknown));
  auto early = create(first(), "", "ghost");
  settle();
  EXPECT_TRUE(early->refused(errc::name_taken)) << "the command may still be under way";
  w.advance(milliseconds{10'000});
  auto other = create(first(), "", "ghost");
  settle();
  ASSERT_TRUE(other->accepted());
  w.settings.partitions = std::vector{home};
  auto& second = w.start();
  settle();
  auto told = heard_from<peer_done>(second, late.what);
  settle();
  EXPECT_TRUE(told->refused(errc::name_taken));
  EXPECT_TRUE(names_of(keyed_agent(key)).empty());
}

// Goal: a creation elsewhere has five seconds, those of attempts that say nothing included; its
// names' partition can go then. Its name stays what it is for a while: the agent may still come.
TEST_F(stories_peers, a_silent_attempt_counts) {
  begin();
  const auto key = key_elsewhere();
  part({home_of(keyed_agent(key))});
  w.advance(milliseconds{10'001}); // It has held the names for long.
  auto made = create(first(), key, "slow");
  until_a_letter();
  w.advance(milliseconds{4'900});
  w.run_jobs();
  EXPECT_TRUE(made->nothing());
  w.advance(milliseconds{200});
  w.run_jobs();
  EXPECT_TRUE(made->refused(errc::outcome_unknown)) << "its one attempt has not been answered";
  auto late = std::move(w.letters.front());
  w.letters.clear();
  auto other = create(first(), "", "slow");
  until([&] { return other->times > 0; }, "the answer");
  EXPECT_TRUE(other->refused(errc::name_taken));
  w.letters.push_back(std::move(late));
  settle_with(journey::arrives, 1); // It arrives all the same, and is answered to nobody.
  EXPECT_EQ(made->times, 1);
  EXPECT_THAT(names_of(keyed_agent(key)), ElementsAre("agent.created"));
  auto again = create(first(), key, "slow");
  settle();
  ASSERT_TRUE(again->accepted());
  EXPECT_TRUE((**again).replayed);
}

// Goal: the server of an agent reads its workspace's names on from where it was, and not from their
// beginning with each creation.
TEST_F(stories_peers, names_are_read_on) {
  begin();
  const auto home = home_of(keyed_agent(key_elsewhere()));
  auto& second = part({home});
  int number = 0;
  auto reads_of_one = [&] {
    std::string key;
    do
      key = "key-" + std::to_string(number++);
    while (home_of(keyed_agent(key)) != home);
    const auto before = second.port.records_read();
    auto made = create(first(), key, "slug-" + key);
    settle_with(journey::arrives, 1);
    EXPECT_TRUE(made->accepted());
    return second.port.records_read() - before;
  };
  const auto at_first = reads_of_one();
  for (int i = 0; i < 10; ++i)
    EXPECT_TRUE(create(first(), "", "more-" + std::to_string(i)) != nullptr);
  settle();
  reads_of_one();
  EXPECT_LE(reads_of_one(), at_first);
}

// Goal: one of several that is about to end takes what comes, because nobody else can yet; it
// executes nothing of that, and whoever has the partition then does.
TEST_F(stories_peers, who_drains_accepts_what_others_execute) {
  begin();
  let(1, {step("a")});
  std::vector<std::uint32_t> all(w.disk.partition_count());
  std::iota(all.begin(), all.end(), 0U);
  auto drained = std::make_shared<std::promise<void>>();
  caf::anon_send(first().directory, drain_atom_v);
  caf::anon_send(first().actors->dispatcher, drain_slots{drained});
  auto told = start_run(first(), 1, "key");
  auto made = create(first(), "", "late");
  settle();
  ASSERT_TRUE(told->accepted());
  EXPECT_TRUE(made->accepted());
  EXPECT_EQ(first().actors->counters.running_runs.load(), 0U);
  bool released = false;
  w.release(first(), all, [&] { released = true; });
  until([&] { return released; }, "the release");
  w.settings.partitions = std::move(all);
  w.start();
  until_ended((**told).fact->run);
  EXPECT_EQ(state_of((**told).fact->run).at, run::phase::succeeded);
}

// Goal: the version of an agent that lives elsewhere is pinned without a message; a run, keyed or
// not, is accepted where its session lives.
TEST_F(stories_peers, versions_are_pinned_from_what_is_read) {
  begin();
  let(1, {step("a")});
  part({home_of(stream_of(agent))});
  auto keyed = start_run(first(), 1, "key");
  auto plain = start_run(first(), 1);
  settle();
  ASSERT_TRUE(keyed->accepted());
  ASSERT_TRUE(plain->accepted());
  EXPECT_EQ((**keyed).fact->agent_version, 1);
  until_ended((**keyed).fact->run);
  until_ended((**plain).fact->run);
  auto again = start_run(first(), 1, "key");
  settle();
  ASSERT_TRUE(again->accepted());
  EXPECT_TRUE((**again).replayed);
  EXPECT_EQ((**again).fact->run, (**keyed).fact->run);
}

// Goal: a workspace whose stream lives elsewhere is made once, without a key too.
TEST_F(stories_peers, workspace_is_created_elsewhere) {
  begin();
  const auto names_home = home_of(names_stream_of(workspace_id{std::string{system_workspace}}));
  std::string id;
  for (int n = 0; id.empty() || home_of(stream_of(workspace_id{id})) == names_home; ++n)
    id = "ws-" + std::to_string(n);
  const auto stream = stream_of(workspace_id{id});
  part({home_of(stream)});
  create_workspace_request asked;
  asked.context.workspace = here;
  asked.context.principal = "key_client";
  asked.id = workspace_id{id};
  asked.title = "elsewhere";
  auto made = heard_from<workspace_answer>(first(), asked);
  settle_with(journey::answer_lost, 1);
  ASSERT_TRUE(made->accepted());
  EXPECT_EQ((**made).state.title, "elsewhere");
  EXPECT_FALSE((**made).replayed);
  auto again = heard_from<workspace_answer>(first(), asked);
  settle();
  EXPECT_TRUE(again->refused(errc::workspace_exists));
  EXPECT_THAT(names_of(stream), ElementsAre("workspace.created"));
}

// Goal: a command whose entity leaves its server while it is on its way there inside is refused to
// the one who sent it, and carried no further: behind itself it would wait for ever.
TEST_F(stories_peers, command_goes_no_further) {
  begin();
  const auto names_home = home_of(names_stream_of(workspace_id{std::string{system_workspace}}));
  std::string id;
  for (int n = 0; id.empty() || home_of(stream_of(workspace_id{id})) == names_home; ++n)
    id = "ws-" + std::to_string(n);
  const auto stream = stream_of(workspace_id{id});
  auto& second = part({home_of(stream)});
  create_workspace_request asked;
  asked.context.workspace = here;
  asked.context.principal = "key_client";
  asked.id = workspace_id{id};
  heard_from<workspace_answer>(first(), asked);
  until_a_letter();
  const auto command = w.letters.front().what;
  w.letters.clear();
  auto told = heard_from<peer_done>(second, command);
  w.release(second, {home_of(stream)});
  w.run_jobs();
  EXPECT_TRUE(told->refused(errc::not_owner));
  EXPECT_TRUE(w.letters.empty());
  EXPECT_TRUE(names_of(stream).empty());
}

// Goal: a refused call is recorded once, however often its command arrives.
TEST_F(stories_peers, refused_call_is_recorded_elsewhere) {
  begin();
  const auto stream = audit_stream_of(here);
  part({home_of(stream)});
  auto record = [&] {
    record_refusal_request asked;
    asked.context.workspace = here;
    asked.context.principal = "key_client";
    audit::call_refused fact;
    fact.method = "POST";
    fact.status = 403;
    asked.report = std::move(fact);
    return heard_from<refusal_recorded>(first(), std::move(asked));
  };
  auto told = record();
  settle_with(journey::answer_lost, 2);
  EXPECT_TRUE(told->accepted());
  EXPECT_EQ(count(stream, "audit.call_refused"), 1U);
  auto next = record();
  settle_with(journey::doubled, 1);
  EXPECT_TRUE(next->accepted());
  EXPECT_EQ(count(stream, "audit.call_refused"), 2U);
}

// Goal: what a slot does is in its stream although another server holds that.
TEST_F(stories_peers, slots_report_elsewhere) {
  begin();
  let(1, {step("a")});
  const auto first_of_workers = w.disk.partition_count() - 2 - 1 - 4;
  part({first_of_workers, first_of_workers + 1});
  auto told = start_run(first(), 1);
  settle();
  ASSERT_TRUE(told->accepted());
  until_ended((**told).fact->run);
  for (int i = 0; i < 40; ++i) {
    settle();
    w.advance(milliseconds{500});
  }
  std::size_t begun = 0, ended = 0;
  w.judge.catch_up();
  for (auto p : {first_of_workers, first_of_workers + 1}) {
    auto records = w.disk.read_partition(p, 0, 1000);
    ASSERT_TRUE(records);
    for (const auto& r : *records) {
      begun += r->event.type.find("worker.process_started") != std::string::npos;
      ended += r->event.type.find("worker.process_ended") != std::string::npos;
    }
  }
  EXPECT_EQ(begun, 1U);
  EXPECT_EQ(ended, 1U);
}

// Goal: a node whose stream lives elsewhere signs its partitions all the same.
TEST_F(stories_peers, node_key_is_registered_elsewhere) {
  w.settings.heads.key = ed25519::private_key::from_seed(sha256("node-1"));
  const auto home = home_of(stream_id{"node/node-1"});
  std::vector<std::uint32_t> all(w.disk.partition_count());
  std::iota(all.begin(), all.end(), 0U);
  std::erase(all, home);
  w.settings.partitions = all;
  begin();
  let(1, {step("a")});
  w.settings.heads.key.reset(); // The second one has none of its own.
  w.settings.partitions = std::vector{home};
  w.start();
  until([&] { return count(stream_id{"node/node-1"}, "node.key_registered") == 1; },
        "the registration");
  for (int i = 0; i < 30; ++i) {
    settle();
    w.advance(milliseconds{1000});
  }
  std::size_t heads = 0;
  for (auto p : all) {
    auto records = w.disk.read_partition(p, 0, 1000);
    ASSERT_TRUE(records);
    for (const auto& r : *records)
      heads += r->event.type.find("partition.tree_head") != std::string::npos;
  }
  EXPECT_GT(heads, 0U);
}

} // namespace

} // namespace runledger::sim
