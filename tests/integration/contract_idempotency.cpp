#include "tests/integration/contract_world.hpp"

#include <set>
#include <thread>

/// Idempotency-Key on every POST.
namespace runledger::contract {

namespace {

header_list keyed(const std::string& key) {
  return {{"Idempotency-Key", key}};
}

struct call {
  std::string target, body, other_body;
};

/// One call of every POST that makes something, on an agent and a session of their own.
std::vector<call> every_post(const world& w) {
  const auto slug = world::unique("posts");
  w.make_agent(slug, w.recipe());
  const auto session = w.begin(R"([["wait","never"]])", slug)["session_id"];
  const auto agent = "/api/v1/agents/" + slug;
  return {{"/api/v1/agents", R"({"name":"One","slug":")" + world::unique("one") + "\"}",
           R"({"name":"Other"})"},
          {agent + "/versions", R"({"recipe":)" + w.recipe() + "}",
           R"({"recipe":)" + w.recipe(R"(,"description":"other")") + "}"},
          {agent + "/runs", R"({"prompt":"one"})", R"({"prompt":"other"})"},
          {agent + "/versions/1/runs", R"({"prompt":"one"})", R"({"prompt":"other"})"},
          {"/api/v1/sessions/" + session + "/messages", R"({"message":"one"})",
           R"({"message":"other"})"},
          {"/api/v1/keys", R"({"name":"one","scopes":["read"]})",
           R"({"name":"other","scopes":["read"]})"},
          {"/api/v1/workspaces", R"({"name":"one"})", R"({"name":"other"})"},
          {"/api/v1/sessions/" + session + "/cancel", R"({"why":"one"})", R"({"why":"other"})"}};
}

/// What leaves no event, and so is known again only to the same server.
call rebuild_post() {
  return {"/api/v1/admin/projections/keys/rebuild", R"({"why":"one"})", R"({"why":"other"})"};
}

} // namespace

TEST(contract_idempotency, every_post_replays_its_first_answer) {
  auto& w = shared_world();
  auto asking = w.client();
  auto calls = every_post(w);
  calls.push_back(rebuild_post());
  for (const auto& each : calls) {
    SCOPED_TRACE(each.target);
    const auto key = world::unique("replay");
    const auto first = asking.post(each.target, each.body, keyed(key));
    ASSERT_EQ(first.status / 100, 2) << first.body;
    EXPECT_EQ(first.header("Idempotent-Replayed"), "");
    const auto second = asking.post(each.target, each.body, keyed(key));
    EXPECT_EQ(second.status, first.status) << second.body;
    EXPECT_EQ(second.header("Idempotent-Replayed"), "true");
    if (each.target == "/api/v1/keys") {
      EXPECT_EQ(second["key"], "null");
      EXPECT_EQ(second["id"], first["id"]);
      EXPECT_EQ(w.client(first["key"]).get("/api/v1/runs").status, 200) << "the first one's secret";
    } else {
      EXPECT_EQ(second.body, first.body);
    }
    expect_problem(asking.post(each.target, each.other_body, keyed(key)), 422,
                   "idempotency_conflict");
    EXPECT_EQ(asking.post(each.target, each.body, keyed(key)).header("Idempotent-Replayed"), "true")
        << "also after a conflict";
  }
}

TEST(contract_idempotency, a_replay_makes_nothing) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("count");
  w.make_agent(slug, w.recipe());
  const auto target = "/api/v1/agents/" + slug + "/versions";
  const auto key = world::unique("version");
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(asking.post(target, R"({"recipe":)" + w.recipe() + "}", keyed(key))["version"], "2");
  EXPECT_EQ(asking.post(target, R"({"recipe":)" + w.recipe() + "}")["version"], "3");
  const auto run = asking.post(run_target, R"({"prompt":"x"})");
  const auto messages = "/api/v1/sessions/" + run["session_id"] + "/messages";
  const auto again = world::unique("message");
  for (int i = 0; i < 3; ++i)
    asking.post(messages, R"({"message":"y"})", keyed(again));
  EXPECT_EQ(json_elements(asking.get("/api/v1/sessions/" + run["session_id"])["runs"]).size(), 2U);
}

TEST(contract_idempotency, bodies_are_compared_as_json) {
  auto asking = shared_world().client();
  const auto key = world::unique("equal");
  const auto first =
      asking.post(run_target, R"({"initial_state":{"a":1,"b":"é/"},"x":[1,2]})", keyed(key));
  ASSERT_EQ(first.status, 201);
  const auto same = asking.post(
      run_target,
      "{ \"x\" : [1, 2],\n \"initial_state\" : {\"b\":\"\\u00e9\\/\" , \"\\u0061\":1} }",
      keyed(key));
  EXPECT_EQ(same["id"], first["id"]) << same.body;
  for (const char* other :
       {R"({"initial_state":{"a":1.0,"b":"é/"},"x":[1,2]})",
        R"({"initial_state":{"a":1,"b":"é/"},"x":[2,1]})", R"({"initial_state":{"a":1,"b":"é/"}})",
        R"({"initial_state":{"a":"1","b":"é/"},"x":[1,2]})"})
    expect_problem(asking.post(run_target, other, keyed(key)), 422, "idempotency_conflict");
}

TEST(contract_idempotency, quoted_and_bare_are_the_same_key) {
  auto asking = shared_world().client();
  const auto key = world::unique("quoted");
  const auto first = asking.post(run_target, R"({"prompt":"q"})", keyed('"' + key + '"'));
  ASSERT_EQ(first.status, 201);
  EXPECT_EQ(asking.post(run_target, R"({"prompt":"q"})", keyed(key))["id"], first["id"]);
  EXPECT_NE(asking.post(run_target, R"({"prompt":"q"})", keyed(key + "x"))["id"], first["id"]);
}

TEST(contract_idempotency, keys_have_a_form) {
  auto& w = shared_world();
  auto asking = w.client();
  for (const auto& bad : {std::string{"\"\""}, std::string{"two words"}, std::string{"\"open"},
                          std::string{"a\"b"}, std::string(256, 'k'), std::string{"\xc3\xa9"}}) {
    SCOPED_TRACE(bad);
    expect_problem(asking.post(run_target, R"({"prompt":"x"})", keyed(bad)), 400,
                   "bad_idempotency_key");
    expect_problem(asking.post("/api/v1/agents", R"({"name":"x"})", keyed(bad)), 400,
                   "bad_idempotency_key");
    expect_problem(asking.post("/api/v1/workspaces", R"({"name":"x"})", keyed(bad)), 400,
                   "bad_idempotency_key");
  }
  const auto head = world::unique("!#~");
  EXPECT_EQ(
      asking
          .post(run_target, R"({"prompt":"x"})", keyed(head + std::string(255 - head.size(), 'k')))
          .status,
      201);
}

TEST(contract_idempotency, one_key_means_one_thing_per_route) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto key = world::unique("routes");
  std::set<std::string> ids;
  for (const char* target :
       {run_target, "/api/v1/agents/solo/runs", "/api/v1/agents/told/versions/1/runs"}) {
    const auto made = asking.post(target, R"({"prompt":"x"})", keyed(key));
    EXPECT_EQ(made.status, 201) << made.body;
    EXPECT_EQ(made.header("Idempotent-Replayed"), "");
    ids.insert(made["id"]);
  }
  EXPECT_EQ(ids.size(), 3U);
  const auto agent = asking.get("/api/v1/agents/told")["id"];
  const auto by_id =
      asking.post("/api/v1/agents/" + agent + "/runs", R"({"prompt":"x"})", keyed(key));
  EXPECT_EQ(by_id.header("Idempotent-Replayed"), "true") << "an id and a slug name one route";
}

TEST(contract_idempotency, concurrent_first_use_makes_one_run) {
  auto& w = shared_world();
  for (int round = 0; round < 5; ++round) {
    const auto key = world::unique("race");
    std::vector<http_answer> answers(16);
    std::vector<std::thread> threads;
    for (auto& answer : answers)
      threads.emplace_back(
          [&] { answer = w.client().post(run_target, R"({"prompt":"race"})", keyed(key)); });
    for (auto& each : threads)
      each.join();
    std::set<std::string> bodies;
    int fresh = 0;
    for (const auto& answer : answers) {
      EXPECT_EQ(answer.status, 201) << answer.body;
      bodies.insert(answer.body);
      fresh += answer.header("Idempotent-Replayed").empty() ? 1 : 0;
    }
    EXPECT_EQ(bodies.size(), 1U);
    EXPECT_EQ(fresh, 1);
    const auto session = answers.front()["session_id"];
    EXPECT_EQ(w.events_of("session.turn_accepted", session), 1);
  }
}

TEST(contract_idempotency, concurrent_first_use_of_other_posts) {
  auto& w = shared_world();
  auto calls = every_post(w);
  calls.push_back(rebuild_post());
  for (const auto& each : calls) {
    SCOPED_TRACE(each.target);
    const auto key = world::unique("race");
    std::vector<http_answer> answers(8);
    std::vector<std::thread> threads;
    for (auto& answer : answers)
      threads.emplace_back([&] { answer = w.client().post(each.target, each.body, keyed(key)); });
    for (auto& one : threads)
      one.join();
    int fresh = 0;
    for (const auto& answer : answers) {
      EXPECT_EQ(answer.status, answers.front().status) << answer.body;
      EXPECT_EQ(answer.status / 100, 2) << answer.body;
      EXPECT_EQ(answer["id"], answers.front()["id"]);
      fresh += answer.header("Idempotent-Replayed").empty() ? 1 : 0;
    }
    EXPECT_EQ(fresh, 1);
  }
}

TEST(contract_idempotency, a_refused_call_does_not_use_the_key_up) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto key = world::unique("refused");
  const auto slug = world::unique("later");
  const auto target = "/api/v1/agents/" + slug + "/runs";
  EXPECT_EQ(asking.post(target, R"({"prompt":"x"})", keyed(key)).status, 404);
  ASSERT_EQ(asking.post("/api/v1/agents", R"({"name":"x","slug":")" + slug + "\"}").status, 201);
  EXPECT_EQ(asking.post(target, R"({"prompt":"x"})", keyed(key)).status, 409) << "no version";
  EXPECT_EQ(asking.post(target, "{}", keyed(key)).status, 422);
  asking.post("/api/v1/agents/" + slug + "/versions", R"({"recipe":)" + w.recipe() + "}");
  EXPECT_EQ(
      asking.post("/api/v1/agents/" + slug + "/versions/1/runs", R"({"prompt":"x"})", keyed(key))
          .status,
      409)
      << "a draft";
  asking.ask("PATCH", "/api/v1/agents/" + slug + "/versions/1", R"({"status":"active"})");
  const auto made = asking.post(target, R"({"prompt":"other body"})", keyed(key));
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.header("Idempotent-Replayed"), "");

  const auto agents = world::unique("agents");
  EXPECT_EQ(asking.post("/api/v1/agents", R"({"name":"told"})", keyed(agents)).status, 409);
  const auto free = R"({"name":"told","slug":")" + world::unique("free") + "\"}";
  EXPECT_EQ(asking.post("/api/v1/agents", free, keyed(agents)).status, 201);

  const auto workspaces = world::unique("workspaces");
  EXPECT_EQ(
      asking.post("/api/v1/workspaces", R"({"name":"x","id":"default"})", keyed(workspaces)).status,
      409);
  EXPECT_EQ(asking.post("/api/v1/workspaces", R"({"name":"x"})", keyed(workspaces)).status, 201);

  const auto keys = world::unique("keys");
  EXPECT_EQ(
      asking
          .post("/api/v1/keys", R"({"name":"x","scopes":["read"],"workspace":"none"})", keyed(keys))
          .status,
      422);
  EXPECT_EQ(asking.post("/api/v1/keys", R"({"name":"x","scopes":["read"]})", keyed(keys)).status,
            201);
}

TEST(contract_idempotency, a_conflict_takes_no_name) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto key = world::unique("agents"), one = world::unique("taken"),
             other = world::unique("free");
  ASSERT_EQ(
      asking.post("/api/v1/agents", R"({"name":"x","slug":")" + one + "\"}", keyed(key)).status,
      201);
  const auto claims = w.events_of("name.claimed");
  for (const auto& slug : {other, std::string{"told"}}) // Free, and another's.
    expect_problem(
        asking.post("/api/v1/agents", R"({"name":"x","slug":")" + slug + "\"}", keyed(key)), 422,
        "idempotency_conflict");
  EXPECT_EQ(w.events_of("name.claimed"), claims);
  EXPECT_EQ(asking.get("/api/v1/agents/" + other).status, 404);
  EXPECT_EQ(asking.post("/api/v1/agents", R"({"name":"x","slug":")" + other + "\"}").status, 201)
      << "the slug is still to be had";
}

TEST(contract_idempotency, concurrent_conflicts_take_no_name) {
  auto& w = shared_world();
  const auto key = world::unique("race"), stem = world::unique("slug");
  const auto claims = w.events_of("name.claimed");
  std::vector<http_answer> answers(8);
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < answers.size(); ++i)
    threads.emplace_back([&, i] {
      answers[i] =
          w.client().post("/api/v1/agents",
                          R"({"name":"x","slug":")" + stem + std::to_string(i) + "\"}", keyed(key));
    });
  for (auto& one : threads)
    one.join();
  int made = 0;
  for (const auto& answer : answers) {
    made += answer.status == 201 ? 1 : 0;
    if (answer.status != 201)
      expect_problem(answer, 422, "idempotency_conflict");
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(w.events_of("name.claimed"), claims + 1);
}

TEST(contract_idempotency, a_key_finds_its_workspace_under_any_id) {
  world w;
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto make = [&](const std::string& key, const std::string& id) {
    return asking.post("/api/v1/workspaces",
                       R"({"name":"x")" + (id.empty() ? "}" : R"(,"id":")" + id + "\"}"),
                       keyed(key));
  };
  EXPECT_EQ(make("taken", "default").status, 409);
  EXPECT_EQ(w.events_of("name.claimed", "ws/system/names"), 0) << "a refusal changes nothing";
  const auto chosen = make("chosen", "a");
  EXPECT_EQ(chosen.status, 201) << chosen.body;
  const auto derived = make("derived", "");
  EXPECT_EQ(derived.status, 201) << derived.body;
  EXPECT_EQ(make("taken", "").status, 201) << "the refused call did not use the key up";
  for (int round = 0; round < 2; ++round) {
    expect_problem(make("chosen", "b"), 422, "idempotency_conflict");
    expect_problem(make("chosen", ""), 422, "idempotency_conflict");
    expect_problem(make("chosen", "default"), 422, "idempotency_conflict");
    expect_problem(make("derived", "b"), 422, "idempotency_conflict");
    EXPECT_EQ(make("chosen", "a").body, chosen.body);
    EXPECT_EQ(make("derived", "").body, derived.body);
    EXPECT_EQ(make("other", "a").status, 409);
    w.server.kill();
    ASSERT_TRUE(w.start());
    asking.move_to(w.server.port());
  }
  EXPECT_EQ(json_elements(asking.get("/api/v1/workspaces").body).size(), 4U);
  // The same text of a key is another's key in another workspace.
  const auto theirs = w.client(w.make_key(R"("admin")", "a"))
                          .post("/api/v1/workspaces", R"({"name":"x","id":"a"})", keyed("chosen"));
  expect_problem(theirs, 409, "workspace_exists");
}

TEST(contract_idempotency, a_replay_does_not_ask_for_the_present_state) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto slug = world::unique("gone");
  w.make_agent(slug, w.recipe());
  const auto agent = "/api/v1/agents/" + slug;
  const auto first = world::unique("first"), second = world::unique("second");
  const auto run = asking.post(agent + "/runs", R"({"prompt":"x"})", keyed(first));
  const auto pinned = asking.post(agent + "/versions/1/runs", R"({"prompt":"x"})", keyed(second));
  ASSERT_EQ(asking.ask("PATCH", agent + "/versions/1", R"({"status":"archived"})").status, 200);
  EXPECT_EQ(asking.post(agent + "/runs", R"({"prompt":"x"})").status, 409);
  const auto again = asking.post(agent + "/runs", R"({"prompt":"x"})", keyed(first));
  EXPECT_EQ(again.body, run.body);
  EXPECT_EQ(again["status"], "pending");
  EXPECT_EQ(asking.post(agent + "/versions/1/runs", R"({"prompt":"x"})", keyed(second)).body,
            pinned.body);

  const auto message = world::unique("message");
  const auto messages = "/api/v1/sessions/" + run["session_id"] + "/messages";
  const auto turn = asking.post(messages, R"({"message":"y"})", keyed(message));
  ASSERT_EQ(turn.status, 202) << turn.body;
  ASSERT_EQ(asking.post("/api/v1/sessions/" + run["session_id"] + "/cancel", "").status, 202);
  EXPECT_EQ(asking.post(messages, R"({"message":"z"})").status, 409);
  const auto replay = asking.post(messages, R"({"message":"y"})", keyed(message));
  EXPECT_EQ(replay.status, 202) << replay.body;
  EXPECT_EQ(replay["run_id"], turn["run_id"]);
  EXPECT_EQ(replay.header("Idempotent-Replayed"), "true");
}

TEST(contract_idempotency, a_replay_shows_the_session_as_it_was) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto gate = world::unique("gate");
  const auto run = w.begin(R"([["wait",")" + gate + R"("]])");
  const auto session = "/api/v1/sessions/" + run["session_id"];
  ASSERT_TRUE(
      eventually([&] { return asking.get("/api/v1/runs/" + run["id"])["status"] == "running"; }));
  const auto say = [&](const std::string& text) {
    return asking.post(session + "/messages", R"({"message":")" + text + "\"}",
                       keyed("say-" + text + gate));
  };
  const auto cancel = [&](const std::string& why) {
    return asking.post(session + "/cancel", R"({"why":")" + why + "\"}", keyed("end-" + gate));
  };
  const auto one = say("one");
  EXPECT_EQ(column(json_elements(one["runs"]), "status"), "running,pending") << one.body;
  w.open_gate(gate);
  EXPECT_EQ(w.end_of(one["run_id"])["status"], "succeeded");
  const auto two = say("two");
  EXPECT_EQ(column(json_elements(two["runs"]), "status"), "succeeded,succeeded,pending")
      << two.body;
  EXPECT_EQ(w.end_of(two["run_id"])["status"], "succeeded");
  ASSERT_TRUE(eventually([&] { return say("one").body == one.body; })) << say("one").body;
  const auto end = cancel("x");
  EXPECT_EQ(end.status, 202);
  ASSERT_TRUE(eventually([&] { return asking.get(session)["status"] == "terminated"; }));
  EXPECT_EQ(say("one").body, one.body);
  EXPECT_EQ(say("two").body, two.body);
  EXPECT_EQ(cancel("x").body, end.body);
  expect_problem(cancel("y"), 422, "idempotency_conflict");
  EXPECT_NE(asking.get(session).body, two.body);
}

// Goal: a cancellation that changes nothing writes nothing, so it does not use its key up
// (docs/decisions/0066).
TEST(contract_idempotency, a_cancellation_in_vain_keeps_no_key) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto session = w.finish("[]")["session_id"];
  const auto target = "/api/v1/sessions/" + session + "/cancel";
  ASSERT_EQ(asking.post(target, "").status, 202);
  ASSERT_TRUE(eventually(
      [&] { return asking.get("/api/v1/sessions/" + session)["status"] == "terminated"; }));
  const auto events = w.events_of("session.", session);
  const auto key = world::unique("vain");
  for (const char* why : {"one", "other"}) {
    const auto again = asking.post(target, R"({"why":")" + std::string{why} + "\"}", keyed(key));
    EXPECT_EQ(again.status, 202) << again.body;
    EXPECT_EQ(again.header("Idempotent-Replayed"), "");
    EXPECT_EQ(again.body, asking.get("/api/v1/sessions/" + session).body);
  }
  EXPECT_EQ(w.events_of("session.", session), events);
}

TEST(contract_idempotency, keys_are_known_after_a_restart) {
  world w;
  ASSERT_TRUE(w.start());
  const auto calls = every_post(w);
  std::vector<http_answer> before;
  auto asking = w.client();
  for (const auto& each : calls)
    before.push_back(asking.post(each.target, each.body, keyed("restart")));
  w.server.kill();
  ASSERT_TRUE(w.start());
  asking.move_to(w.server.port());
  for (std::size_t i = 0; i < calls.size(); ++i) {
    SCOPED_TRACE(calls[i].target);
    const auto after = asking.post(calls[i].target, calls[i].body, keyed("restart"));
    EXPECT_EQ(after.status, before[i].status) << after.body;
    EXPECT_EQ(after["id"], before[i]["id"]);
    EXPECT_EQ(after["run_id"], before[i]["run_id"]);
    EXPECT_EQ(after.header("Idempotent-Replayed"), "true");
    expect_problem(asking.post(calls[i].target, calls[i].other_body, keyed("restart")), 422,
                   "idempotency_conflict");
  }
}

TEST(contract_idempotency, known_keys_are_answered_at_capacity) {
  world w{{"--runs.max-queued", "2", "--runs.max-running", "1"}};
  ASSERT_TRUE(w.start());
  auto asking = w.client();
  const auto running = w.begin(R"([["wait","go"]])", "solo");
  ASSERT_TRUE(eventually(
      [&] { return asking.get("/api/v1/runs/" + running["id"])["status"] == "running"; }));
  const auto target = "/api/v1/agents/solo/runs";
  const auto first = asking.post(target, R"({"prompt":"a"})", keyed("a"));
  const auto second = asking.post(target, R"({"prompt":"b"})", keyed("b"));
  EXPECT_EQ(first.status, 201) << first.body;
  EXPECT_EQ(second.status, 201) << second.body;
  const auto refused = asking.post(target, R"({"prompt":"c"})", keyed("c"));
  expect_problem(refused, 429, "queue_full");
  EXPECT_NE(refused.header("Retry-After"), "");
  const auto messages = "/api/v1/sessions/" + running["session_id"] + "/messages";
  expect_problem(asking.post(messages, R"({"message":"d"})"), 429, "queue_full");
  EXPECT_EQ(asking.post(target, R"({"prompt":"a"})", keyed("a")).body, first.body);
  EXPECT_EQ(asking.post(target, R"({"prompt":"b"})", keyed("b")).body, second.body);
  expect_problem(asking.post(target, R"({"prompt":"c"})", keyed("b")), 422, "idempotency_conflict");
  w.open_gate("go");
  EXPECT_EQ(w.end_of(second["id"])["status"], "succeeded");
  const auto now = asking.post(target, R"({"prompt":"c"})", keyed("c"));
  EXPECT_EQ(now.status, 201) << now.body;
  EXPECT_EQ(now.header("Idempotent-Replayed"), "");
}

TEST(contract_idempotency, a_replay_waits_where_it_is_asked_to) {
  auto& w = shared_world();
  auto asking = w.client();
  const auto key = world::unique("wait"), gate = world::unique("gate");
  const auto body = script_body(R"([["wait",")" + gate + R"("]])");
  const auto first = asking.post(run_target, body, keyed(key));
  EXPECT_EQ(first["status"], "pending");
  w.open_gate(gate);
  const auto ended =
      asking.post(run_target, body, {{"Idempotency-Key", key}, {"Prefer", "wait=30"}});
  EXPECT_EQ(ended["id"], first["id"]);
  EXPECT_EQ(ended["status"], "succeeded");
  EXPECT_EQ(ended.header("Idempotent-Replayed"), "true");
  EXPECT_EQ(asking.post(run_target, body, keyed(key)).body, first.body) << "as it was accepted";
}

TEST(contract_idempotency, messages_need_no_key) {
  auto asking = shared_world().client();
  const auto one = asking.post(run_target, R"({"prompt":"x"})");
  const auto two = asking.post(run_target, R"({"prompt":"x"})");
  ASSERT_EQ(one.status, 201) << one.body;
  ASSERT_EQ(two.status, 201) << two.body;
  EXPECT_NE(one["id"], two["id"]);
  EXPECT_EQ(two.header("Idempotent-Replayed"), "");
  const auto messages = "/api/v1/sessions/" + one["session_id"] + "/messages";
  const auto first = asking.post(messages, R"({"message":"x"})");
  const auto second = asking.post(messages, R"({"message":"x"})");
  ASSERT_EQ(first.status, 202) << first.body;
  ASSERT_EQ(second.status, 202) << second.body;
  EXPECT_NE(first["run_id"], second["run_id"]);
  EXPECT_EQ(second.header("Idempotent-Replayed"), "");
}

} // namespace runledger::contract
