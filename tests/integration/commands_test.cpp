#include "events/json.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <future>

namespace runledger::test {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// The commands of the real binary against a real server, as a person types them.
class commands : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(server.start()) << server.why();
    port = server.port();
    ASSERT_EQ(say("agents create --from -", recipe("")).exit_code, 0);
  }

  spoken say(const std::string& words, const std::string& input = "true") {
    return shell(fmt::format("{} | env RUNLEDGER_API_KEY={} RUNLEDGER_SERVER=http://127.0.0.1:{} "
                             "RUNLEDGER_DATA='{}' '{}' {}",
                             input, server_key, port, data, RUNLEDGER_BINARY, words));
  }

  static std::string recipe(const std::string& flags) {
    return fmt::format(
        "python3 '{0}/examples/agents/make_recipe.py' {1} '{0}/examples/agents/wordcount'",
        RUNLEDGER_SOURCE_DIR, flags);
  }

  /// A member of the object that a command printed with --json.
  static std::string member(const spoken& said, std::string_view name) {
    const auto document = json::parse(said.out);
    const auto found = document ? document->root().find(name) : std::nullopt;
    return found ? std::string{found->is_string() ? found->string() : found->raw()} : "(absent)";
  }

  temp_folder folder;
  std::string data = folder / "data";
  std::string server_key; // Empty: the admin key of the data folder.
  std::uint16_t port = 0; // Of the first start.
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
};

} // namespace

// Goal: one life of an agent by the commands alone: run, read, artifacts, next turn, cancel.
TEST_F(commands, a_whole_life) {
  const auto waited = say("runs start wordcount --prompt 'one two two' --wait");
  EXPECT_EQ(waited.exit_code, 0) << waited.out;
  EXPECT_THAT(waited.out, AllOf(HasSubstr("step_completed"), HasSubstr("running -> succeeded"),
                                HasSubstr("\"words\": 3")));
  const auto started = say("runs start wordcount --state '{\"text\": \"a b\"}' --json");
  const auto run = member(started, "id"), session = member(started, "session_id");
  EXPECT_EQ(say("runs watch " + run).exit_code, 0);
  const auto shown = say("runs show --json " + run);
  EXPECT_EQ(member(shown, "status"), "succeeded");
  EXPECT_THAT(say("runs explain " + run).out, HasSubstr("finished"));
  EXPECT_EQ(say("runs log " + run).exit_code, 0);
  const auto saved = folder / "saved";
  EXPECT_EQ(say(fmt::format("runs artifacts {} --save '{}'", run, saved)).exit_code, 0);
  EXPECT_THAT(read_whole_file(saved + "/words.csv"), StartsWith("word,count\n"));
  EXPECT_THAT(say("runs list --agent wordcount --status succeeded").out, HasSubstr(run));

  EXPECT_EQ(say(fmt::format("sessions message {} 'x y z' --wait", session)).exit_code, 0);
  EXPECT_THAT(say("sessions events " + session).out, HasSubstr("assistant_message   3 words"));
  EXPECT_EQ(say("sessions cancel " + session).exit_code, 0);
  const auto followed = say(fmt::format("sessions events {} --follow", session));
  EXPECT_THAT(followed.out, HasSubstr("session_terminated"));
  EXPECT_EQ(member(say("sessions show --json " + session), "status"), "terminated");
  EXPECT_EQ(say(fmt::format("sessions message {} 'more'", session)).exit_code, 2);
}

// Goal: a fork goes on from a step of another run, and says so.
TEST_F(commands, a_run_is_forked) {
  const auto first = say("runs start wordcount --prompt 'one two two' --wait --json");
  const auto run = member(first, "id");
  ASSERT_EQ(member(first, "status"), "succeeded") << first.out;
  const auto fork = say(fmt::format("replay fork {} --at top-words --wait --json", run));
  EXPECT_EQ(fork.exit_code, 0) << fork.out;
  EXPECT_EQ(member(fork, "status"), "succeeded");
  EXPECT_EQ(member(fork, "parent_run_id"), run);
  EXPECT_EQ(member(fork, "steps_completed"), "2") << "top-words and write-report";
  EXPECT_EQ(member(first, "steps_completed"), "5");
  const auto shown = say(fmt::format("replay fork {} --at load", run));
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_THAT(shown.out, HasSubstr("pending"));
  const auto refused = say(fmt::format("replay fork {} --at nothing", run));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.out, HasSubstr("never started a step"));
  EXPECT_EQ(say("replay fork run_nope --at load").exit_code, 2);
}

// Goal: the exit code tells a run that failed from a call that was wrong.
TEST_F(commands, exit_codes) {
  EXPECT_EQ(say("runs start wordcount --prompt ' ' --wait").exit_code, 1);
  EXPECT_EQ(say("runs show run_nope").exit_code, 2);
  EXPECT_EQ(say("agents create --name other --slug wordcount").exit_code, 2);
  EXPECT_EQ(say("doctor --ready").exit_code, 0);
  server.kill();
  EXPECT_EQ(say("doctor --ready").exit_code, 1);
  const auto away = say("runs list");
  EXPECT_EQ(away.exit_code, 2);
  EXPECT_THAT(away.out, HasSubstr("connection refused; is `runledger serve` running?"));
}

TEST_F(commands, versions_go_from_draft_to_archive) {
  const auto revised = say("agents revise wordcount --recipe -", recipe("--recipe"));
  EXPECT_EQ(revised.out, "version 2 is draft\n");
  EXPECT_EQ(say("runs start wordcount --version 2 --prompt x").exit_code, 2) << "a draft runs not";
  EXPECT_EQ(say("agents activate wordcount 2").out, "version 2 is active\n");
  EXPECT_EQ(member(say("runs start wordcount --prompt x --json"), "agent_version"), "2");
  EXPECT_EQ(say("agents archive wordcount 1").out, "version 1 is archived\n");
  EXPECT_EQ(say("agents activate wordcount 1").exit_code, 2);
}

// Goal: a key does what its scopes say, in its workspace, until it is revoked.
TEST_F(commands, keys_and_workspaces) {
  EXPECT_EQ(say("workspaces create 'Team A' --id team-a").exit_code, 0);
  EXPECT_THAT(say("workspaces list").out, HasSubstr("team-a"));
  const auto made = say("keys create --name ci --workspace team-a --scopes read --json");
  const auto key = member(made, "key");
  EXPECT_THAT(key, StartsWith("rlk_"));
  server_key = key;
  EXPECT_EQ(say("runs list --json").out, "[]\n") << "another workspace has other runs";
  const auto denied = say("workspaces list");
  EXPECT_EQ(denied.exit_code, 2);
  EXPECT_THAT(denied.out, HasSubstr("(403, "));
  server_key.clear();
  const auto keys = say("keys list");
  EXPECT_EQ(keys.exit_code, 0) << keys.out;
  EXPECT_THAT(keys.out, HasSubstr(member(made, "id")));
  EXPECT_EQ(keys.out.find(key), std::string::npos);
  EXPECT_EQ(say("keys revoke " + member(made, "id")).exit_code, 0);
  server_key = key;
  EXPECT_THAT(say("runs list").out, HasSubstr("(401, "));
}

// Goal: a watch outlives the server: it goes on with the server that comes back.
TEST_F(commands, watch_outlives_a_killed_server) {
  const auto started =
      say("runs start wordcount --json --state '{\"file\": \"ballad.txt\", \"pause_ms\": 300}'");
  const auto run = member(started, "id");
  auto watching = std::async(std::launch::async, [&] { return say("runs watch " + run); });
  const auto is_under_way = [&] {
    return say("sessions events " + member(started, "session_id")).out.find("step_completed")
           != std::string::npos;
  };
  EXPECT_TRUE(eventually(is_under_way));
  server.kill();
  server.options().flags = {"--listen", fmt::format("127.0.0.1:{}", server.port())};
  ASSERT_TRUE(server.start()) << server.why();
  const auto watched = watching.get();
  EXPECT_EQ(watched.exit_code, 0) << watched.out;
  EXPECT_THAT(watched.out, AllOf(HasSubstr("trying again"), HasSubstr("server_restarted"),
                                 HasSubstr("running -> succeeded")));
}

} // namespace runledger::test
