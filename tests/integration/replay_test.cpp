#include "events/json.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fmt/format.h>
#include <fstream>

namespace runledger::test {

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

/// `replay` of the real binary, on the folder of a real server that lives, ends or is killed.
class replay_commands : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(server.start()) << server.why();
    ASSERT_EQ(say(fmt::format("agents create --from - --server http://127.0.0.1:{}", server.port()),
                  fmt::format("python3 '{0}/examples/agents/make_recipe.py' "
                              "'{0}/examples/agents/wordcount' | ",
                              RUNLEDGER_SOURCE_DIR))
                  .exit_code,
              0);
    run = started("one two two");
    session = json_at(asking().get("/api/v1/runs/" + run).body, "session_id");
  }

  /// A run that has ended.
  std::string started(const std::string& prompt) {
    const auto made =
        asking().ask("POST", "/api/v1/agents/wordcount/runs",
                     fmt::format(R"({{"prompt":"{}"}})", prompt), {{"Prefer", "wait=30"}});
    EXPECT_EQ(made["status"], "succeeded") << made.body;
    return made["id"];
  }

  http_client asking() const { return http_client{server.port(), server.admin_key()}; }

  /// As a person types it; `before` stands in front of the command.
  spoken say(const std::string& words, const std::string& before = {}) const {
    return shell_apart(fmt::format("{} env RUNLEDGER_DATA='{}' TMPDIR='{}' '{}' {}", before, data,
                                   temporary.path(), RUNLEDGER_BINARY, words));
  }
  spoken replay(const std::string& words) const { return say("replay " + words); }

  /// Lines of text.
  static std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream in{text};
    for (std::string line; std::getline(in, line);)
      out.push_back(line);
    return out;
  }

  temp_folder folder, temporary;
  std::string data = folder / "data";
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
  std::string run, session;
};

} // namespace

// Goal: what the API says of the past, the commands say from the ledger, at every event, while the
// server runs; at the end both say what the live views say.
TEST_F(replay_commands, say_what_the_api_says) {
  auto api = asking();
  const auto events = lines_of(replay(fmt::format("show {} --json", run)).out);
  ASSERT_GT(events.size(), 5u);
  for (std::size_t i = 1; i < events.size(); ++i) {
    const auto seq = json_at(events[i], "sequence"), offset = json_at(events[i], "offset");
    EXPECT_EQ(seq, std::to_string(i));
    const auto then = api.get(fmt::format("/api/v1/runs/{}?as_of={}", run, seq));
    ASSERT_EQ(then.status, 200) << then.body;
    EXPECT_EQ(replay(fmt::format("at {} {} --json", run, seq)).out, then.body + "\n");
    EXPECT_EQ(api.get(fmt::format("/api/v1/runs/{}?as_of=offset:{}", run, offset)).body, then.body);
    const auto of_session =
        api.get(fmt::format("/api/v1/sessions/{}?as_of=offset:{}", session, offset));
    EXPECT_EQ(replay(fmt::format("at {} offset:{} --json", session, offset)).out,
              of_session.body + "\n");
    EXPECT_EQ(of_session["runs.0.status"], then["status"]);
  }
  for (const auto& target : {"/api/v1/runs/" + run, "/api/v1/sessions/" + session}) {
    const auto now = api.get(target);
    const auto id = target.substr(target.rfind('/') + 1);
    EXPECT_EQ(api.get(target + "?as_of=2100-01-01T00:00:00Z").body, now.body);
    EXPECT_EQ(replay("at " + id + " 2100-01-01T00:00:00Z --json").out, now.body + "\n");
  }
  const auto sums = replay("at ws/default 2100-01-01T00:00:00Z --json").out;
  const auto live = api.get("/api/v1/analytics/agents");
  EXPECT_EQ(json_at(sums, "agents"), live["agents"]);
  EXPECT_EQ(json_at(sums, "total"), live["total"]);
  const auto workers = api.get("/api/v1/workers");
  const auto worker = workers["0.id"];
  EXPECT_EQ(replay("at " + worker + " 1000000 --json").out, json_elements(workers.body)[0] + "\n");
}

// Goal: people read who did what and when, and what changed between two points.
TEST_F(replay_commands, tell_people) {
  const auto shown = replay("show " + session);
  EXPECT_EQ(shown.exit_code, 0) << shown.error;
  EXPECT_THAT(shown.out, AllOf(HasSubstr("session.turn_accepted"), HasSubstr("one two two"),
                               HasSubstr("  1.1  run.started"), HasSubstr("running -> succeeded"),
                               HasSubstr("session.turn_ended"), HasSubstr("  key_")));
  EXPECT_THAT(replay("show " + run).out, HasSubstr("   s1  session.turn_accepted"));
  EXPECT_THAT(replay("show ws/default/names").out, HasSubstr("wordcount"));
  EXPECT_THAT(replay("show part_ledger_0").out, HasSubstr("partition.claimed"));
  const auto then = replay("at " + run + " 1");
  EXPECT_THAT(then.out, AllOf(StartsWith("as of seq:1 (last event: " + run + ":1 at "),
                              HasSubstr(run + "  running")));
  EXPECT_THAT(replay("at " + run + " 0").out, HasSubstr(run + "  pending"));
  const auto changed = replay(fmt::format("diff {} 0 1000", run));
  EXPECT_THAT(changed.out,
              AllOf(Not(HasSubstr("session.turn_accepted")), HasSubstr("run.started"),
                    HasSubstr("run.succeeded"), HasSubstr("\"pending\" -> \"succeeded\"")));
  const auto as_json = replay(fmt::format("diff {} 0 1 --json", run));
  EXPECT_EQ(json_at(as_json.out, "events.0.type"), "dev.runledger.run.started.v1");
  EXPECT_EQ(json_at(as_json.out, "changes.0.path"), "/status");
  EXPECT_EQ(json_at(as_json.out, "changes.0.after"), "running");
  EXPECT_THAT(replay("at ws/default offset:1000000").out,
              AllOf(HasSubstr("wordcount"), HasSubstr("total")));
  const auto spent = replay("diff ws/default offset:3 offset:1000000");
  EXPECT_THAT(spent.out, AllOf(HasSubstr("run.usage_reported"), HasSubstr("/total/runs"),
                               HasSubstr("0 -> 1")));
}

// Goal: reading beside an idle server changes none of its files; the lock table of all connections
// is the server's own.
TEST_F(replay_commands, leave_a_running_servers_folder_alone) {
  const auto counts = [](const std::string& name) { return !name.ends_with("-shm"); };
  // The views and the sessions' ends follow the answer; wait until all is quiet.
  auto before = folder_state(data, counts);
  ASSERT_TRUE(eventually([&] {
    const auto now = folder_state(data, counts);
    return std::exchange(before, now) == now;
  }));
  EXPECT_EQ(replay("show " + session).exit_code, 0);
  EXPECT_EQ(replay("at " + run + " 2").exit_code, 0);
  EXPECT_EQ(replay("diff ws/default offset:1 offset:1000").exit_code, 0);
  EXPECT_EQ(folder_state(data, counts), before);
  const auto other = started("more"); // What is written next is seen at once.
  EXPECT_THAT(replay("at " + other + " 1000").out, HasSubstr("succeeded"));
}

// Goal: a killed server's ledger, with a write-ahead log that nobody has moved into the file, is
// read whole, also where the folder can only be read and by a user who owns nothing there; nothing
// in the folder changes, and nothing is left elsewhere.
TEST_F(replay_commands, leave_a_killed_servers_folder_alone) {
  const auto now = asking().get("/api/v1/runs/" + run).body + "\n";
  server.kill();
  ASSERT_GT(std::filesystem::file_size(data + "/ledger.db-wal"), 0u);
  auto before = folder_state(data);
  EXPECT_EQ(replay("at " + run + " 1000 --json").out, now);
  EXPECT_EQ(replay("show " + session).exit_code, 0);
  EXPECT_EQ(folder_state(data), before);
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
  EXPECT_EQ(say(fmt::format("replay at {} 1000 --json --ledger 'sqlite:{}/ledger.db' --data "
                            "/nonexistent",
                            run, data))
                .out,
            now)
      << "--ledger wins";
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become another user";
  for (const auto& each : std::filesystem::recursive_directory_iterator{data})
    ::chmod(each.path().c_str(), each.is_directory() ? 0555 : 0444);
  for (const auto& path : {data, folder.path()})
    ::chmod(path.c_str(), 0555);
  ::chmod(temporary.path().c_str(), 0777);
  before = folder_state(data);
  const auto read = say("replay at " + run + " 1000 --json",
                        "setpriv --reuid 65534 --regid 65534 --clear-groups --");
  EXPECT_EQ(read.out, now) << read.error;
  EXPECT_EQ(folder_state(data), before);
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

// Goal: after a clean end there is one file to read, and reading it leaves no file beside it.
TEST_F(replay_commands, leave_a_stopped_servers_folder_alone) {
  ASSERT_TRUE(server.stop());
  const auto before = folder_state(data);
  EXPECT_THAT(replay("at " + run + " 1000").out, HasSubstr("succeeded"));
  EXPECT_EQ(folder_state(data), before);
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

// Goal: exit 1 says that it was not there yet; exit 2 that the call was wrong, with the place and
// the way out, and nothing is written.
TEST_F(replay_commands, refuse_in_words) {
  ASSERT_TRUE(server.stop());
  const auto before = folder_state(data);
  const auto expect = [&](const std::string& words, int exit_code, const std::string& message) {
    const auto said = replay(words);
    EXPECT_EQ(said.exit_code, exit_code) << words << ": " << said.error;
    EXPECT_THAT(said.error, HasSubstr(message)) << words;
    EXPECT_THAT(said.out, IsEmpty()) << words;
  };
  expect("at " + run + " 2000-01-01T00:00:00Z", 1, "was not there yet");
  expect("at " + session + " 0", 1, "was not there yet");
  expect("at run_01HZZZZZZZZZZZZZZZZZZZZZZZ 1", 2, "knows nothing of run_01HZ");
  expect("show run_01HZZZZZZZZZZZZZZZZZZZZZZZ", 2, "has no events of run_01HZ");
  expect("at " + run + " yesterday", 2, "yesterday: no point in the past");
  expect("at ws/default 12", 2, "has no seq");
  expect("at ag_01HZZZZZZZZZZZZZZZZZZZZZZZ 1", 2, "the past is told of run_");
  expect("diff " + run + " 5 1", 2, "lies behind");
  expect("show x --data /nonexistent", 2, "/nonexistent is not there");
  expect(fmt::format("show x --data '{}'", temporary.path()), 2, "holds no ledger");
  expect("show x --ledger sqlite:/nonexistent", 2, "/nonexistent: No such file");
  expect("show x --ledger kafka:127.0.0.1:1", 2, "no Kafka broker answers");
  expect("show x --ledger whatever", 2, "write sqlite:FILE or kafka:BROKERS");
  expect(fmt::format("show x --ledger 'sqlite:{}/views.db'", data), 2, "is not a runledger ledger");
  EXPECT_EQ(folder_state(data), before);
}

// Goal: a ledger of a newer version is refused as such.
TEST_F(replay_commands, refuse_a_newer_ledger) {
  ASSERT_TRUE(server.stop());
  server.expect_other_views("the ledger is damaged");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((data + "/ledger.db").c_str(), &db), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(db, "PRAGMA user_version = 99", nullptr, nullptr, nullptr), SQLITE_OK);
  sqlite3_close(db);
  const auto before = folder_state(data);
  const auto said = replay("show " + run);
  EXPECT_EQ(said.exit_code, 2);
  EXPECT_THAT(said.error, HasSubstr("newer version of runledger"));
  EXPECT_EQ(folder_state(data), before);
}

// Goal: a damaged event is told with its place; what stands before it is still shown.
TEST_F(replay_commands, tell_damage_with_its_place) {
  ASSERT_TRUE(server.stop());
  server.expect_other_views("the ledger is damaged");
  sqlite3* db = nullptr;
  ASSERT_EQ(sqlite3_open((data + "/ledger.db").c_str(), &db), SQLITE_OK);
  const auto edit = fmt::format("UPDATE events SET data = replace(data, 'a', 'b') WHERE stream = "
                                "'{}' AND seq = 4",
                                run);
  ASSERT_EQ(sqlite3_exec(db, edit.c_str(), nullptr, nullptr, nullptr), SQLITE_OK);
  ASSERT_EQ(sqlite3_changes(db), 1);
  sqlite3_close(db);
  const auto shown = replay("show " + run);
  EXPECT_EQ(shown.exit_code, 1);
  EXPECT_EQ(lines_of(shown.out).size(), 4u); // The acceptance and three events.
  EXPECT_THAT(shown.error, HasSubstr(fmt::format("damaged at stream {}, seq 4", run)));
  EXPECT_EQ(replay("at " + run + " 3").exit_code, 0);
  EXPECT_EQ(replay("at " + run + " 5").exit_code, 1);
}

} // namespace runledger::test
