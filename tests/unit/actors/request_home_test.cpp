// Goal: which stream decides on a request follows from the ids in it, the same for everybody.

#include "actors/request_home.hpp"

#include <gtest/gtest.h>

namespace runledger {

namespace {

const agent_lookup only_helper = [](const std::string& agent, const workspace_id&) {
  return agent == "helper" || agent == "ag_1" ? std::optional{agent_id{"ag_1"}} : std::nullopt;
};

request_context context(const std::string& key = {}, const std::string& ulid = {}) {
  request_context out;
  out.workspace.value = "w";
  out.idempotency_key = key;
  out.ulid = ulid;
  return out;
}

stream_id run_stream(const std::string& agent, const std::string& key,
                     std::optional<std::int64_t> version = std::nullopt) {
  start_run_request ask;
  ask.context = context(key);
  ask.agent = agent;
  ask.version = version;
  return deciding_stream(ask, only_helper);
}

} // namespace

TEST(request_home, of_a_keyed_run_is_derived) {
  const auto first = run_stream("ag_1", "k");
  EXPECT_EQ(first.value, "sess_" + derive_ulid({"request", "w", "POST /agents/ag_1/runs", "k"}));
  EXPECT_EQ(run_stream("helper", "k"), first) << "a slug is resolved";
  EXPECT_NE(run_stream("ag_1", "other"), first);
  EXPECT_EQ(run_stream("ag_1", "k", 3).value,
            "sess_" + derive_ulid({"request", "w", "POST /agents/ag_1/versions/3/runs", "k"}));
  EXPECT_TRUE(run_stream("nobody", "k").empty()) << "whoever gets it refuses it";
}

TEST(request_home, of_a_run_without_a_key_is_what_the_asker_chose) {
  EXPECT_TRUE(run_stream("ag_1", "").empty());
  start_run_request ask;
  ask.context = context("", "01HF7YAT000000000000000000");
  EXPECT_EQ(deciding_stream(ask, only_helper).value, "sess_01HF7YAT000000000000000000");
  fork_run_request fork;
  fork.context = ask.context;
  EXPECT_EQ(deciding_stream(fork, only_helper).value, "sess_01HF7YAT000000000000000000");
  create_key_request key;
  key.context = ask.context;
  EXPECT_EQ(deciding_stream(key, only_helper).value, "key_01HF7YAT000000000000000000");
}

TEST(request_home, is_the_entity_that_is_named) {
  post_message_request message;
  message.session.value = "sess_1";
  EXPECT_EQ(deciding_stream(message, only_helper).value, "sess_1");
  cancel_session_request cancel;
  cancel.session.value = "sess_1";
  EXPECT_EQ(deciding_stream(cancel, only_helper).value, "sess_1");
  change_version_request change;
  change.agent = "helper";
  EXPECT_EQ(deciding_stream(change, only_helper).value, "ag_1");
  revoke_key_request revoke;
  revoke.id.value = "key_1";
  EXPECT_EQ(deciding_stream(revoke, only_helper).value, "key_1");
}

TEST(request_home, of_a_creation_is_where_names_are_claimed) {
  create_agent_request agent;
  agent.context = context("k");
  EXPECT_EQ(deciding_stream(agent, only_helper).value, "ws/w/names");
  create_workspace_request workspace;
  workspace.context = context("k");
  EXPECT_EQ(deciding_stream(workspace, only_helper).value, "ws/system/names");
  record_refusal_request refusal;
  refusal.context = context();
  EXPECT_EQ(deciding_stream(refusal, only_helper).value, "ws/w/audit");
}

} // namespace runledger
