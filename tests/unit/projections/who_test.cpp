#include "projections/replay/who.hpp"

#include "events/log/memory_log.hpp"
#include "tests/support/history.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

// Goal: from the ledger alone it can be told who touched an object, in which requests, and who
// tried to in vain; and nothing of other objects is mixed in.
namespace runledger::replay {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class who_test : public ::testing::Test {
protected:
  who_test() {
    as("system", "");
    facts.write(stream_of(ada), key::event{key::created{"ada", {"write"}, {}, {}, {}, {}}});
    facts.write(stream_of(bob), key::event{key::created{"bob", {"read"}, {}, {}, {}, {}}});
    as(ada.value, "req_agent");
    facts.write(names_stream_of(facts.workspace),
                names::event{names::claimed{"agent", "helper", agent.value}});
    facts.write(stream_of(agent), agent::event{agent::created{"helper", "Helper", {}, {}, {}, {}}});
    begin(session, run, "req_run");
    begin(other_session, other_run, "req_other");
    as(run.value, "req_run");
    facts.write_run(session, run, run::step_started{"a", "A", "k", 1, {}, {}, {}});
    facts.write_run(session, run, run::step_completed{"a", 1, 5, {}, {}});
    as("system", "");
    facts.write_run(session, run, run::attempt_failed{1, {"gone", "gone"}, false, 2, 0, {}});
  }

  void as(const std::string& principal, const std::string& request) {
    facts.clock.time += std::chrono::milliseconds{10};
    facts.principal = principal;
    facts.request = request;
  }
  void begin(const session_id& s, const run_id& r, const std::string& request) {
    as(ada.value, request);
    auto turn = facts.turn(r);
    turn.agent = agent;
    facts.write_session(s, turn);
    run::started started;
    started.worker = worker;
    facts.write_run(s, r, started);
  }
  void refused(const std::string& workspace, const std::string& principal,
               const std::string& request, std::vector<std::string> targets) {
    as(principal, request);
    const auto before = std::exchange(facts.workspace.value, workspace);
    audit::call_refused call;
    call.method = "POST";
    call.targets = std::move(targets);
    call.status = 403;
    facts.write(audit_stream_of(facts.workspace), audit::event{call});
    facts.workspace.value = before;
  }

  who_report ask(const std::string& id) {
    const auto subject = who_subject_of(id);
    EXPECT_TRUE(subject) << id;
    auto found = who_touched(log, id, *subject);
    EXPECT_TRUE(found) << id;
    return std::move(*found);
  }
  static std::vector<std::string> principals(const who_report& r) {
    std::vector<std::string> out;
    for (const auto& one : r.who)
      out.push_back(one.principal);
    return out;
  }
  static std::vector<std::string> requests_in_vain(const who_report& r) {
    std::vector<std::string> out;
    for (const auto& one : r.refused)
      out.push_back(one.request);
    return out;
  }
  static std::string types(const toucher& one) {
    std::string out;
    for (const auto& [type, t] : one.by_type)
      out += (out.empty() ? "" : ",") + type + ':' + std::to_string(t.events);
    return out;
  }

  memory_log log;
  test::history facts{log};
  const key_id ada = facts.fresh<key_id_tag>("key_"), bob = facts.fresh<key_id_tag>("key_");
  const agent_id agent = facts.fresh<agent_id_tag>("ag_");
  const worker_id worker = facts.fresh<worker_id_tag>("wrk_");
  const session_id session = facts.fresh_session(), other_session = facts.fresh_session();
  const run_id run = facts.fresh_run(session), other_run = facts.fresh_run(other_session);
};

TEST_F(who_test, tells_who_touched_a_run) {
  const auto found = ask(run.value);
  EXPECT_EQ(found.workspace.value, "default");
  ASSERT_THAT(principals(found), ElementsAre(ada.value, run.value, "system"));
  EXPECT_EQ(types(found.who[0]), "run.started:1,session.turn_accepted:1");
  EXPECT_EQ(types(found.who[1]), "run.step_completed:1,run.step_started:1");
  EXPECT_EQ(types(found.who[2]), "run.attempt_failed:1");
  ASSERT_TRUE(found.who[0].key);
  EXPECT_EQ(found.who[0].key->title, "ada");
  EXPECT_EQ(found.who[0].key->made_by, "system");
  EXPECT_FALSE(found.who[0].key->revoked_at);
  EXPECT_FALSE(found.who[1].key);
  ASSERT_THAT(found.who[0].by_request, SizeIs(1));
  EXPECT_EQ(found.who[0].by_request.at("req_run").events, 2U);
  EXPECT_LT(found.who[0].all.first, found.who[2].all.first);
}

TEST_F(who_test, a_run_has_part_in_what_befalls_its_session) {
  as(bob.value, "req_cancel");
  facts.write_session(session, session::cancel_requested{"enough", {}, {}});
  as("system", "");
  facts.write_session(session, session::turn_ended{run, "cancelled"});
  facts.write_session(session, session::terminated{"enough"});
  const auto found = ask(run.value);
  ASSERT_THAT(principals(found), ElementsAre(ada.value, run.value, "system", bob.value));
  EXPECT_EQ(types(found.who[3]), "session.cancel_requested:1");
  EXPECT_EQ(types(found.who[2]), "run.attempt_failed:1,session.turn_ended:1")
      << "what comes after its end is not its own";
  EXPECT_THAT(principals(ask(other_run.value)), ElementsAre(ada.value));
}

TEST_F(who_test, a_session_has_its_runs) {
  const auto found = ask(session.value);
  EXPECT_THAT(principals(found), ElementsAre(ada.value, run.value, "system"));
  EXPECT_THAT(found.streams, SizeIs(2));
  EXPECT_EQ(found.streams.at(run.value).events, 4U);
}

TEST_F(who_test, an_agent_has_its_name_and_the_runs_that_were_asked_of_it) {
  const auto found = ask(agent.value);
  ASSERT_THAT(principals(found), ElementsAre(ada.value));
  EXPECT_EQ(types(found.who[0]), "agent.created:1,name.claimed:1,session.turn_accepted:2");
}

TEST_F(who_test, a_worker_has_the_attempts_that_it_was_given) {
  const auto found = ask(worker.value);
  ASSERT_THAT(principals(found), ElementsAre(ada.value));
  EXPECT_EQ(types(found.who[0]), "run.started:2");
}

TEST_F(who_test, a_key_has_everything_that_it_did) {
  as(bob.value, "req_revoke");
  facts.write(stream_of(ada), key::event{key::revoked{}});
  refused("default", ada.value, "req_late", {"elsewhere"});
  refused("default", bob.value, "req_bob", {"elsewhere"});
  const auto found = ask(ada.value);
  ASSERT_THAT(principals(found), ElementsAre("system", ada.value, bob.value));
  EXPECT_EQ(types(found.who[1]),
            "agent.created:1,name.claimed:1,run.started:2,session.turn_accepted:2");
  EXPECT_THAT(found.streams, SizeIs(7)) << "two sessions, two runs, agent, names, itself";
  EXPECT_TRUE(found.who[1].key->revoked_at);
  EXPECT_THAT(requests_in_vain(found), ElementsAre("req_late"));
}

TEST_F(who_test, a_workspace_has_everything_in_it) {
  refused("default", bob.value, "req_here", {});
  refused("another", bob.value, "req_there", {});
  for (const std::string id : {"default", "ws/default"}) {
    const auto found = ask(id);
    EXPECT_EQ(found.id, "default");
    EXPECT_THAT(principals(found), ElementsAre("system", ada.value, run.value));
    EXPECT_THAT(requests_in_vain(found), ElementsAre("req_here"));
  }
}

TEST_F(who_test, attempts_in_vain_are_found_in_every_workspace) {
  refused("default", bob.value, "req_1", {run.value});
  refused("another", "key_stranger", "req_2", {run.value});
  refused("system", "anonymous", "req_3", {session.value});
  refused("default", bob.value, "req_4", {other_run.value});
  refused("default", bob.value, "req_5", {"helper"});
  refused("default", bob.value, "req_6", {agent.value, "1"});
  EXPECT_EQ(ask(run.value).refused[0].key_name, "bob");
  EXPECT_EQ(ask(run.value).refused[1].key_name, "");
  EXPECT_THAT(requests_in_vain(ask(run.value)), ElementsAre("req_1", "req_2", "req_3"))
      << "its session's too";
  EXPECT_THAT(requests_in_vain(ask(session.value)), ElementsAre("req_1", "req_2", "req_3"))
      << "its runs' too";
  EXPECT_THAT(requests_in_vain(ask(agent.value)), ElementsAre("req_5", "req_6"))
      << "under its slug too";
  EXPECT_THAT(requests_in_vain(ask(bob.value)), ElementsAre("req_1", "req_4", "req_5", "req_6"));
}

TEST_F(who_test, what_was_left_out_is_told) {
  as("system", "");
  facts.write(audit_stream_of(facts.workspace), audit::event{audit::calls_suppressed{40, {}}});
  EXPECT_EQ(ask(run.value).suppressed, 40);
}

TEST_F(who_test, an_id_of_nothing_has_nobody) {
  const auto found = ask("run_01ARZ3NDEKTSV4RRFFQ69G5FAV");
  EXPECT_TRUE(found.empty());
  EXPECT_THAT(found.streams, IsEmpty());
}

TEST(who_subject, is_told_by_the_id) {
  EXPECT_EQ(who_subject_of("run_01ARZ3NDEKTSV4RRFFQ69G5FAV"), who_subject::run);
  EXPECT_EQ(who_subject_of("sess_01ARZ3NDEKTSV4RRFFQ69G5FAV"), who_subject::session);
  EXPECT_EQ(who_subject_of("key_01ARZ3NDEKTSV4RRFFQ69G5FAV"), who_subject::key);
  EXPECT_EQ(who_subject_of("ws_01ARZ3NDEKTSV4RRFFQ69G5FAV"), who_subject::workspace);
  EXPECT_EQ(who_subject_of("ws/team-a"), who_subject::workspace);
  EXPECT_EQ(who_subject_of("team-a"), who_subject::workspace);
  for (const char* none : {"", "a b", "ws/", "../etc", "run:1"})
    EXPECT_EQ(who_subject_of(none), std::nullopt) << none;
}

} // namespace
} // namespace runledger::replay
