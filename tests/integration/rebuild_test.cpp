#include "events/json.hpp"
#include "events/log/data_folder_lock.hpp"
#include "tests/support/checked_views.hpp"
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

/// `replay rebuild` of the real binary, on the folder of a real server.
class rebuild_command : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(server.start()) << server.why();
    for (const char* name : {"one", "two", "three"})
      ASSERT_EQ(asking().post("/api/v1/agents", fmt::format(R"({{"name":"{}"}})", name)).status,
                201);
  }

  http_client asking() const { return http_client{server.port(), server.admin_key()}; }

  /// As a person types it; `before` stands in front of the command.
  spoken rebuild(const std::string& words = {}, const std::string& before = {}) const {
    auto said =
        shell_apart(fmt::format("{} env RUNLEDGER_DATA='{}' TMPDIR='{}' '{}' replay rebuild {}",
                                before, data, temporary.path(), RUNLEDGER_BINARY, words));
    if (said.exit_code > 128)
      said.exit_code = -1; // As the shell tells a signal.
    return said;
  }

  void sql(const std::string& text, const std::string& file = "/views.db") const {
    sqlite3* db = nullptr;
    ASSERT_EQ(sqlite3_open((data + file).c_str(), &db), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(db, text.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(db);
    sqlite3_close(db);
  }
  bool left_beside() const {
    for (const auto& each : std::filesystem::directory_iterator{data})
      if (const auto name = each.path().filename().string();
          name.starts_with("views.db") && name != "views.db" && name != "views.db.clean")
        return true;
    return false;
  }

  temp_folder folder, temporary;
  std::string data = folder / "data";
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
};

} // namespace

// Goal: beside a running server nothing is done, and the way that works is told.
TEST_F(rebuild_command, points_to_a_running_server) {
  for (const char* words : {"", "--view keys", "--check"}) {
    const auto said = rebuild(words);
    EXPECT_EQ(said.exit_code, 2);
    EXPECT_THAT(said.error, AllOf(HasSubstr("is in use by another server (pid"),
                                  HasSubstr("POST /api/v1/admin/projections/")));
    EXPECT_THAT(said.out, IsEmpty());
  }
  EXPECT_FALSE(std::filesystem::exists(data + "/views.db.new"));
}

// Goal: what a server left, stopped or killed, is what the ledger says; rebuilding it changes
// nothing that can be seen, and the next server goes on with the new file.
TEST_F(rebuild_command, rebuilds_what_a_server_left) {
  for (const bool killed : {false, true}) {
    const auto agents = asking().get("/api/v1/agents").body;
    if (killed)
      server.kill();
    else
      ASSERT_TRUE(server.stop());
    const auto same = rebuild("--check");
    EXPECT_EQ(same.exit_code, 0) << same.out << same.error;
    EXPECT_THAT(same.out, HasSubstr("OK: the views are what the ledger says, to the byte"));
    struct stat before {
    }, after{};
    ::stat((data + "/views.db").c_str(), &before);
    const auto done = rebuild();
    EXPECT_EQ(done.exit_code, 0) << done.error;
    EXPECT_THAT(done.out, HasSubstr("all views rebuilt"));
    ::stat((data + "/views.db").c_str(), &after);
    EXPECT_NE(before.st_ino, after.st_ino);
    EXPECT_FALSE(left_beside());
    EXPECT_EQ(rebuild("--check").exit_code, 0);
    ASSERT_TRUE(server.start()) << server.why();
    struct stat now {};
    ::stat((data + "/views.db").c_str(), &now);
    EXPECT_EQ(now.st_ino, after.st_ino) << "the server did not trust the file";
    EXPECT_EQ(asking().get("/api/v1/agents").body, agents);
  }
}

// Goal: a wrong row is named with table, row, column and both values; nothing is written and
// nothing left. So a comparison after every test can fail.
TEST_F(rebuild_command, check_names_a_planted_row) {
  ASSERT_TRUE(server.stop());
  EXPECT_EQ(views_difference(data), "");
  sql("UPDATE agents SET description = 'planted' WHERE name = 'two'");
  EXPECT_THAT(views_difference(data), AllOf(HasSubstr("table agents, row at="),
                                            HasSubstr("column description: live 'planted', "
                                                      "rebuilt ''")));
  // Who locks the folder notes that.
  const auto counts = [](const std::string& name) { return name != "lock"; };
  const auto before = folder_state(data, counts).at("views.db");
  const auto said = rebuild("--check");
  EXPECT_EQ(said.exit_code, 1) << said.error;
  EXPECT_THAT(said.out, AllOf(HasSubstr("The first difference: table agents, row at="),
                              HasSubstr(", column description\n  live     'planted'\n  rebuilt  ''"
                                        "\n")));
  const auto as_json = rebuild("--check --json");
  EXPECT_EQ(as_json.exit_code, 1);
  EXPECT_EQ(json_at(as_json.out, "ok"), "false");
  EXPECT_EQ(json_at(as_json.out, "first_difference.table"), "agents");
  EXPECT_EQ(json_at(as_json.out, "first_difference.live"), "'planted'");
  EXPECT_EQ(rebuild("--check --view keys").exit_code, 0);
  EXPECT_EQ(folder_state(data, counts).at("views.db"), before);
  EXPECT_FALSE(left_beside());
  const auto one = rebuild("--view keys");
  EXPECT_EQ(one.exit_code, 0) << one.error;
  EXPECT_EQ(rebuild("--check").exit_code, 1) << "the other views are left alone";
  const auto mended = rebuild("--view agents");
  EXPECT_EQ(mended.exit_code, 0) << mended.error;
  EXPECT_THAT(mended.out, HasSubstr("the view agents rebuilt"));
  EXPECT_EQ(rebuild("--check").exit_code, 0);
  EXPECT_FALSE(left_beside());
  EXPECT_TRUE(server.start()) << server.why();
}

// Goal: killed at each of its points, a rebuild leaves views that are right, and the next one, or
// the next server, goes on.
TEST_F(rebuild_command, goes_on_after_a_kill) {
  ASSERT_TRUE(server.stop());
  int went_on = 0;
  for (const char* point :
       {"view_before_commit", "view_after_commit", "view_before_switch", "view_in_switch"}) {
    const auto killed = rebuild("", fmt::format("RUNLEDGER_FAIL_POINT={}", point));
    EXPECT_EQ(killed.exit_code, -1) << point << killed.error;
    EXPECT_EQ(views_difference(data), "") << point;
    EXPECT_TRUE(std::filesystem::exists(data + "/views.db"));
    EXPECT_TRUE(left_beside()) << point;
    const auto done = rebuild("--json");
    EXPECT_EQ(done.exit_code, 0) << done.error;
    went_on += json_at(done.out, "continued_at") != "0" ? 1 : 0;
    EXPECT_EQ(rebuild("--check").exit_code, 0) << point;
    EXPECT_FALSE(left_beside()) << point;
  }
  EXPECT_EQ(went_on, 3);
  rebuild("", "RUNLEDGER_FAIL_POINT=view_after_commit");
  EXPECT_TRUE(left_beside());
  ASSERT_TRUE(server.start()) << server.why();
  EXPECT_FALSE(std::filesystem::exists(data + "/views.db.new"));
}

// Goal: what cannot be done is told, with exit 2, and nothing is made.
TEST_F(rebuild_command, refuses_in_words) {
  ASSERT_TRUE(server.stop());
  const auto expect = [&](const std::string& words, const std::string& message,
                          const std::string& before = {}) {
    const auto said = rebuild(words, before);
    EXPECT_EQ(said.exit_code, 2) << words << ": " << said.error;
    EXPECT_THAT(said.error, HasSubstr(message)) << words;
    EXPECT_THAT(said.out, IsEmpty()) << words;
    EXPECT_FALSE(left_beside()) << words;
  };
  expect("--data /nonexistent", "/nonexistent is not there");
  expect(fmt::format("--data '{}'", temporary.path()), "holds no ledger");
  expect(fmt::format("--ledger 'sqlite:{}/ledger.db'", data), "name the folder that holds them");
  expect(fmt::format("--ledger 'sqlite:{}/ledger.db' --data /nonexistent", data),
         "there is no such folder");
  expect("--view everything", "there are runs, sessions, timeline, agents, workers, keys");
  EXPECT_FALSE(std::filesystem::exists("/nonexistent"));
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
  sql("UPDATE meta SET value = '99' WHERE name = 'schema_version'");
  expect("--check", "has schema 99, this version of runledger has 2: rebuild it");
  expect("--view keys", "it has another schema. Rebuild all of them (without --view)");
  EXPECT_EQ(rebuild().exit_code, 0);
  EXPECT_EQ(rebuild("--check").exit_code, 0);
  for (const char* name : {"/views.db", "/views.db.clean"})
    std::filesystem::remove(data + name);
  expect("--check", "there are no views to compare");
  expect("--view keys", "it does not exist. Rebuild all of them");
  EXPECT_EQ(rebuild().exit_code, 0);
  const auto other = fmt::format("--ledger 'sqlite:{}/copy.db'", folder.path());
  std::filesystem::copy_file(data + "/ledger.db", folder / "copy.db");
  EXPECT_EQ(rebuild("--check " + other + fmt::format(" --data '{}'", data)).exit_code, 0);
  sql("PRAGMA user_version = 99", "/ledger.db");
  expect("", "newer version of runledger");
  // Whose folder it is comes first: what is read may be written to meanwhile.
  const auto owned = data_folder_lock::acquire(data);
  ASSERT_TRUE(owned);
  expect("", "is in use by another server");
  server.expect_other_views("the ledger cannot be read any more");
}

// Goal: one view that is mended while another program reads is not marked as cleanly ended, because
// the file alone does not hold it; the command says so.
TEST_F(rebuild_command, one_view_beside_a_reader) {
  ASSERT_TRUE(server.stop());
  sqlite3* reader = nullptr;
  ASSERT_EQ(sqlite3_open((data + "/views.db").c_str(), &reader), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM agents", nullptr, nullptr, nullptr),
            SQLITE_OK);
  const auto beside = rebuild("--view agents");
  EXPECT_EQ(beside.exit_code, 0) << beside.error;
  EXPECT_THAT(beside.error, HasSubstr("is read by another program"));
  EXPECT_FALSE(std::filesystem::exists(data + "/views.db.clean"));
  sqlite3_close(reader);
  const auto alone = rebuild("--view agents");
  EXPECT_EQ(alone.exit_code, 0) << alone.error;
  EXPECT_THAT(alone.error, Not(HasSubstr("is read by another program")));
  EXPECT_TRUE(std::filesystem::exists(data + "/views.db.clean"));
}

// Goal: without room, or without leave to write, the views stay as they were and nothing is left.
TEST_F(rebuild_command, no_room_and_no_leave) {
  ASSERT_TRUE(server.stop());
  const auto full = rebuild("", "ulimit -f 40; trap '' XFSZ;");
  EXPECT_EQ(full.exit_code, 2) << full.out;
  EXPECT_THAT(full.error, HasSubstr("the views cannot be written"));
  EXPECT_FALSE(left_beside());
  EXPECT_EQ(rebuild("--check").exit_code, 0);
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become another user";
  for (const auto& each : std::filesystem::recursive_directory_iterator{data})
    ::chmod(each.path().c_str(), each.is_directory() ? 0555 : 0444);
  for (const auto& path : {data, folder.path()})
    ::chmod(path.c_str(), 0555);
  ::chmod(temporary.path().c_str(), 0777);
  std::ofstream{folder / "stderr"} << "";
  ::chmod((folder / "stderr").c_str(), 0666);
  const auto before = folder_state(data);
  for (const char* words : {"", "--check"}) {
    const auto said = rebuild(words, "setpriv --reuid 65534 --regid 65534 --clear-groups --");
    EXPECT_EQ(said.exit_code, 2) << said.out;
    EXPECT_THAT(said.error, HasSubstr("cannot be used: Permission denied"));
  }
  EXPECT_EQ(folder_state(data), before);
}

} // namespace runledger::test
