#include "cli/command.hpp"
#include "cli/version.hpp"
#include "tests/unit/cli/canned_server.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace runledger::cli {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

struct spoken {
  int exit_code;
  std::string out, err;
};

/// Runs a command line in this process.
spoken say(std::vector<std::string> words) {
  words.insert(words.begin(), "runledger");
  std::vector<char*> argv;
  for (auto& word : words)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  const int code = run_command_line(static_cast<int>(words.size()), argv.data());
  return {code, ::testing::internal::GetCapturedStdout(), ::testing::internal::GetCapturedStderr()};
}

/// A key in the environment and nothing else of the caller's.
class commands : public ::testing::Test {
protected:
  void SetUp() override {
    for (const auto* name : {"RUNLEDGER_SERVER", "RUNLEDGER_DATA", "RUNLEDGER_CONFIG"})
      ::unsetenv(name);
    ::setenv("RUNLEDGER_API_KEY", "rlk_test", 1);
  }
};

constexpr auto run_json = R"({"id":"run_1","run_id":"run_1","session_id":"sess_1",)"
                          R"("status":"succeeded","agent_id":"ag_1","agent_version":1,)"
                          R"("result":{"words":3},"error":null,"cost_usd":0.5,"tokens_in":1,)"
                          R"("tokens_out":2,"attempt":1,"steps_completed":2,"artifact_count":0,)"
                          R"("created_at":"2026-01-01T00:00:00.000Z",)"
                          R"("started_at":"2026-01-01T00:00:00.000Z",)"
                          R"("finished_at":"2026-01-01T00:00:01.500Z"})";

std::string item(int seq, const std::string& type, const std::string& data) {
  return "id: " + std::to_string(seq) + "\ndata: {\"id\":\"x\",\"seq\":" + std::to_string(seq)
         + ",\"type\":\"" + type
         + "\",\"run_id\":\"run_1\",\"time\":\"2026-01-01T00:00:00.000Z\",\"data\":" + data
         + "}\n\n";
}

} // namespace

TEST_F(commands, help_and_version_are_answers_and_a_wrong_call_is_2) {
  EXPECT_EQ(say({"--version"}).exit_code, exit_done);
  EXPECT_THAT(say({"--version"}).out, HasSubstr(std::string{version()}));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"--help"}, {"agents", "--help"}, {"agents", "create", "--help"}}) {
    const auto said = say(words);
    EXPECT_EQ(said.exit_code, exit_done) << words.front();
    EXPECT_THAT(said.out, AllOf(HasSubstr("--help"), HasSubstr("  runledger ")));
  }
  EXPECT_EQ(say({}).exit_code, exit_wrong);
  EXPECT_EQ(say({"agnets"}).exit_code, exit_wrong);
  EXPECT_EQ(say({"runs", "start"}).exit_code, exit_wrong);
  EXPECT_EQ(say({"runs", "start", "a"}).exit_code, exit_wrong) << "neither prompt nor state";
  EXPECT_EQ(say({"runs", "start", "a", "--prompt", "x", "--state", "{}"}).exit_code, exit_wrong)
      << "both";
}

TEST_F(commands, unreachable_server_is_2_with_what_to_do) {
  const auto said = say({"agents", "list", "--server", "http://127.0.0.1:1"});
  EXPECT_EQ(said.exit_code, exit_wrong);
  EXPECT_THAT(
      said.err,
      HasSubstr(
          "cannot reach http://127.0.0.1:1: connection refused; is `runledger serve` running?"));
}

// Goal: the admin key of a data folder is found, and is never sent to another machine unasked.
TEST_F(commands, where_the_key_comes_from) {
  ::unsetenv("RUNLEDGER_API_KEY");
  const auto folder = std::filesystem::path{::testing::TempDir()} / "runledger-key-test";
  std::filesystem::create_directories(folder);
  std::ofstream{folder / "admin.key"} << "rlk_from_file\n";
  {
    const canned_server server{{answer(200, "[]")}};
    EXPECT_EQ(
        say({"agents", "list", "--json", "--server", server.url(), "--data", folder}).exit_code,
        exit_done);
    EXPECT_EQ(field_of(server.requests().at(0), "Authorization"), "Bearer rlk_from_file");
  }
  ::setenv("RUNLEDGER_DATA", folder.c_str(), 1);
  const auto away = say({"agents", "list", "--server", "http://example.invalid"});
  EXPECT_EQ(away.exit_code, exit_wrong);
  EXPECT_THAT(away.err, HasSubstr("set RUNLEDGER_API_KEY"));
  ::unsetenv("RUNLEDGER_DATA");
  const auto none = say({"agents", "list", "--data", "/nonexistent"});
  EXPECT_EQ(none.exit_code, exit_wrong);
  EXPECT_THAT(none.err, HasSubstr("/nonexistent/admin.key cannot be read"));
  std::filesystem::remove_all(folder);
}

TEST_F(commands, refusals_show_the_servers_words_and_places) {
  const canned_server server{
      {answer(422, R"({"title":"Invalid","status":422,"detail":"the body is not valid",)"
                   R"("code":"validation_failed","errors":[{"loc":["body","recipe","harness"],)"
                   R"("msg":"is missing","type":"missing"}]})")}};
  const auto said = say({"agents", "create", "--name", "n", "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_wrong);
  EXPECT_EQ(said.err, "runledger: the body is not valid (422, validation_failed)\n"
                      "  body.recipe.harness: is missing\n");
  EXPECT_EQ(said.out, "");
}

// Goal: a creation whose answer was lost is repeated under the same idempotency key; a refused one
// is not.
TEST_F(commands, a_lost_answer_is_asked_for_again_with_the_same_key) {
  const canned_server server{
      {"", answer(503, R"({"code":"outcome_unknown"})"), answer(201, run_json)}};
  const auto said =
      say({"runs", "start", "wordcount", "--prompt", "go", "--json", "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_done);
  EXPECT_EQ(said.out, std::string{run_json} + "\n");
  const auto asked = server.requests();
  ASSERT_THAT(asked, SizeIs(3));
  const auto key = field_of(asked[0], "Idempotency-Key");
  EXPECT_THAT(key, SizeIs(32));
  EXPECT_EQ(field_of(asked[1], "Idempotency-Key"), key);
  EXPECT_EQ(field_of(asked[2], "Idempotency-Key"), key);
  EXPECT_THAT(asked[0], StartsWith("POST /api/v1/agents/wordcount/runs "));
  EXPECT_THAT(asked[0], HasSubstr(R"({"prompt":"go"})"));
}

// Goal: a key's answer is never asked for twice, because the second would not show it.
TEST_F(commands, keys_create_is_sent_once) {
  const canned_server server{{"", answer(201, R"({"key":"rlk_x"})")}};
  EXPECT_EQ(say({"keys", "create", "--name", "n", "--scopes", "read", "--server", server.url()})
                .exit_code,
            exit_wrong);
  EXPECT_THAT(server.requests(), SizeIs(1));
}

TEST_F(commands, keys_create_puts_the_key_alone_on_stdout) {
  const canned_server server{{answer(201, R"({"id":"key_1","name":"n","scopes":["read","budget"],)"
                                          R"("workspace":"w","key":"rlk_secret"})")}};
  const auto said = say({"keys", "create", "--name", "n", "--scopes", "read, budget", "--workspace",
                         "w", "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_done);
  EXPECT_EQ(said.out, "rlk_secret\n");
  EXPECT_THAT(server.requests().at(0),
              HasSubstr(R"({"name":"n","scopes":["read","budget"],"workspace":"w"})"));
}

TEST_F(commands, lists_go_on_over_the_pages) {
  const canned_server server{
      {answer(200, R"([{"id":"b"},{"id":"a"}])",
              "Link: <http://h/api/v1/agents?cursor=c&limit=3>; rel=\"next\"\r\n"),
       answer(200, R"([{"id":"z"},{"id":"y"}])")}};
  const auto said = say({"agents", "list", "--json", "--limit", "3", "--server", server.url()});
  EXPECT_EQ(said.out, "[{\"id\":\"b\"},\n {\"id\":\"a\"},\n {\"id\":\"z\"}]\n");
  EXPECT_THAT(server.requests().at(1), StartsWith("GET /api/v1/agents?cursor=c&limit=3 "));
}

// Goal: a watch that is cut off goes on exactly after the last event, and the exit code is the
// run's.
TEST_F(commands, watch_goes_on_after_the_last_event) {
  const canned_server server{
      {event_stream(item(1, "run_status", R"({"status":"pending"})")
                    + item(2, "step_started", R"({"key":"a"})") + "id: 3\ndata: {\"cut"),
       answer(503, "{}"),
       event_stream(item(3, "step_completed", R"({"key":"a","duration_ms":12})")
                    + item(4, "run_status",
                           R"({"status":"failed","error":{"code":"timeout","message":"late"}})"))}};
  const auto said = say({"runs", "watch", "run_1", "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_no);
  EXPECT_EQ(said.out, "00:00:00.000     1  run_status          pending\n"
                      "00:00:00.000     2  step_started        a\n"
                      "00:00:00.000     3  step_completed      a in 0.012 s\n"
                      "00:00:00.000     4  run_status          failed: timeout, late\n");
  const auto asked = server.requests();
  ASSERT_THAT(asked, SizeIs(3));
  EXPECT_THAT(asked[0], StartsWith("GET /api/v1/runs/run_1/log/events "));
  EXPECT_EQ(field_of(asked[0], "Accept"), "text/event-stream");
  EXPECT_EQ(field_of(asked[0], "Last-Event-ID"), "");
  EXPECT_EQ(field_of(asked[2], "Last-Event-ID"), "2");
}

TEST_F(commands, start_and_wait_shows_the_end) {
  const canned_server server{
      {answer(201, R"({"id":"run_1","status":"pending"})"),
       event_stream(item(2, "run_status", R"({"status":"succeeded","from":"running"})")),
       answer(200, run_json)}};
  const auto said =
      say({"runs", "start", "a", "--state", R"({"n": 1.0})", "--wait", "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_done);
  EXPECT_THAT(said.out, AllOf(HasSubstr("running -> succeeded"), HasSubstr("\"words\": 3"),
                              HasSubstr("1.5 s")));
  EXPECT_THAT(server.requests().at(0), HasSubstr(R"({"initial_state":{"n": 1.0}})"));
}

TEST_F(commands, a_bad_state_is_refused_before_anything_is_sent) {
  const canned_server server{{}};
  const auto said = say({"runs", "start", "a", "--state", "{\"n\":", "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_wrong);
  EXPECT_THAT(said.err, HasSubstr("--state: byte 5"));
  EXPECT_THAT(server.requests(), SizeIs(0));
}

// Goal: an artifact's name decides nothing about the folder into which it is saved.
TEST_F(commands, artifacts_are_saved_in_the_folder_only) {
  const auto folder = std::filesystem::path{::testing::TempDir()} / "runledger-artifacts-test";
  std::filesystem::remove_all(folder);
  const canned_server server{
      {answer(200, R"([{"id":"art_1","name":"../up"},{"id":"art_2","name":".."}])"),
       answer(200, "one"), answer(200, "two")}};
  const auto said = say({"runs", "artifacts", "run_1", "--save", folder, "--server", server.url()});
  EXPECT_EQ(said.exit_code, exit_done) << said.err;
  std::string text;
  std::getline(std::ifstream{folder / ".._up"}, text);
  EXPECT_EQ(text, "one");
  std::getline(std::ifstream{folder / "art_2"}, text);
  EXPECT_EQ(text, "two");
  std::filesystem::remove_all(folder);
}

// Goal: with --json a command prints the API's own objects, whatever else it does.
TEST_F(commands, json_is_what_the_api_said) {
  const auto folder = std::filesystem::path{::testing::TempDir()} / "runledger-json-test";
  std::filesystem::remove_all(folder);
  const std::string list = R"([{"id":"art_1","name":"a.txt"}])";
  const std::string link = R"({"url":"http://host/api/v1/x?signature=1","expires_in_seconds":900})";
  const canned_server server{{answer(200, list), answer(200, "one"), answer(200, link)}};
  const auto saved =
      say({"runs", "artifacts", "run_1", "--save", folder, "--json", "--server", server.url()});
  EXPECT_EQ(saved.exit_code, exit_done) << saved.err;
  EXPECT_EQ(saved.out, list + "\n");
  std::string text;
  std::getline(std::ifstream{folder / "a.txt"}, text);
  EXPECT_EQ(text, "one");
  std::filesystem::remove_all(folder);
  const auto log = say({"runs", "log", "run_1", "--json", "--server", server.url()});
  EXPECT_EQ(log.exit_code, exit_done) << log.err;
  EXPECT_EQ(log.out, link + "\n");
}

TEST_F(commands, print_config_shows_origin_and_bad_settings_are_2) {
  const auto shown = say({"serve", "--listen", "127.0.0.1:9", "--secrets.A-b.env=PATH",
                          "--http.allow-plaintext", "--runs.max-running", "3", "--print-config"});
  EXPECT_EQ(shown.exit_code, exit_done) << shown.err;
  EXPECT_THAT(shown.out,
              AllOf(HasSubstr("listen = \"127.0.0.1:9\""), HasSubstr("# --listen\n"),
                    HasSubstr("runs.max_running = 3 "), HasSubstr("http.allow_plaintext = true "),
                    HasSubstr("secrets.A-b.env = \"PATH\""), HasSubstr("# default\n")));
  const auto refused = say({"serve", "--http.body-limt", "3", "--print-config"});
  EXPECT_EQ(refused.exit_code, exit_wrong);
  EXPECT_THAT(refused.err,
              HasSubstr("--http.body-limt: unknown flag; did you mean `--http.body-limit`?"));
  EXPECT_EQ(say({"serve", "stray", "--print-config"}).exit_code, exit_wrong);
  EXPECT_EQ(say({"serve", "--config", "/nonexistent.toml", "--print-config"}).exit_code,
            exit_wrong);
}

} // namespace runledger::cli
