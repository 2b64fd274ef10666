#include "projections/compare.hpp"

#include "projections/view_names.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/unit/projections/view_fixture.hpp"

#include <fstream>

namespace runledger::test {
namespace {

/// Views of a run that succeeded, and of another that goes on.
class compare_test : public view_test {
protected:
  run_id first;
  temp_folder elsewhere;
  void SetUp() override {
    for (int i = 0; i < 3; ++i) {
      auto session = facts.fresh_session();
      auto run = facts.fresh_run(session);
      facts.write_session(session, facts.turn(run));
      facts.write_run(session, run, run::started{});
      if (i == 0) {
        first = run;
        facts.write_run(session, run, run::succeeded{});
      }
    }
    fold();
    reader.reset();
    store.reset();
  }
  void sql(const std::string& text) {
    auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
    auto done = db->exec(text.c_str());
    ASSERT_TRUE(done) << done.error().message;
  }
  result<views::check_report, std::string> check() const {
    return views::check(path, log, {{}, elsewhere / "check", {}});
  }
  /// What the ledger says of a row, as one text.
  std::string as_sql(const std::string& question) const {
    auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
    auto out = db->query_text(question);
    return out && *out ? **out : "(nothing)";
  }
  /// After this change the first difference is told with these words.
  void expect(const std::string& change, const std::string& told) {
    std::filesystem::copy_file(path, path + ".kept");
    sql(change);
    const auto report = check();
    ASSERT_TRUE(report) << report.error();
    ASSERT_TRUE(report->found.first) << change;
    EXPECT_EQ(views::to_text(*report->found.first), told);
    std::filesystem::rename(path + ".kept", path);
  }
};

// Goal: views that are what the ledger says are found the same, every row of them.
TEST_F(compare_test, same) {
  const auto report = check();
  ASSERT_TRUE(report) << report.error();
  EXPECT_FALSE(report->found.first);
  EXPECT_EQ(report->position, log.end_offset(0));
  EXPECT_EQ(report->lag, 0);
  EXPECT_EQ(report->events, static_cast<std::uint64_t>(log.end_offset(0)));
  EXPECT_EQ(report->found.rows, 1u + 3 + 3 + 3); // The position, runs, sessions, timelines.
}

// Goal: a planted change of any kind is named with table, row, column and both values.
TEST_F(compare_test, names_what_was_planted) {
  expect("UPDATE runs SET cost_micro_usd = 7 WHERE at = 2",
         "table runs, row at=2, column cost_micro_usd: live 7, rebuilt 0");
  expect("UPDATE runs SET kind = kind || 'x' WHERE at = 2",
         "table runs, row at=2, column kind: live 'agentx', rebuilt 'agent'");
  expect("UPDATE runs SET error_code = '' WHERE at = 2",
         "table runs, row at=2, column error_code: live '', rebuilt NULL");
  expect("DELETE FROM sessions WHERE at = 2",
         "table sessions, row at=2: live (no such row), rebuilt "
             + as_sql("SELECT printf('id=%Q,workspace=%Q,agent_id=%Q,agent_slug=%Q,"
                      "agent_version=%d,phase=%d,reason=%Q,created_ms=%d,last_activity_ms=%d,"
                      "terminated_ms=NULL,parked=%d', id, workspace, agent_id, agent_slug, "
                      "agent_version, phase, reason, created_ms, last_activity_ms, parked) "
                      "FROM sessions WHERE at = 2"));
  expect("INSERT INTO workspaces VALUES(1, 'ws_x', 'X', 0)",
         "table workspaces, row at=1: live id='ws_x',name='X',created_ms=0, rebuilt (no such row)");
  expect("UPDATE timeline SET items = X'00ff' WHERE session = 2",
         "table timeline, row session=2,chunk=0, column items: live X'00ff', rebuilt X'"
             + as_sql("SELECT lower(hex(items)) FROM timeline WHERE session = 2") + "'");
  expect("INSERT INTO parked VALUES('runs', 'run_x', 'run_x', 1, 0, 'why')",
         "table parked, row entity='run_x',view='runs': live stream='run_x',seq=1,at=0,reason="
         "'why', rebuilt (no such row)");
  expect("DROP TABLE workers",
         "table workers: live (no such table), rebuilt "
         "at,id,node,slot,busy,agent_id,agent_version,layers,last_reason,"
         "registered_ms,changed_ms,parked,workspace,queue,name,slots,leases,gone");
}

// Goal: an index that is gone, declared otherwise, or does not lead to its rows is named, whatever
// the tables hold.
TEST_F(compare_test, names_what_is_wrong_with_indexes) {
  expect("DROP INDEX sessions_listed",
         "table sqlite_schema, row name='sessions_listed', column sql: live (not declared), "
         "rebuilt "
             + as_sql("SELECT sql FROM sqlite_schema WHERE name = 'sessions_listed'"));
  expect("CREATE INDEX another ON runs(id)",
         "table sqlite_schema, row name='another', column sql: live CREATE INDEX another ON "
         "runs(id), rebuilt (not declared)");
  // An index that was filled by another declaration does not lead to its rows.
  std::filesystem::copy_file(path, path + ".kept");
  const auto declared = as_sql("SELECT sql FROM sqlite_schema WHERE name = 'session_ids'");
  sql("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = "
      "'CREATE INDEX session_ids ON sessions(workspace)' WHERE name = 'session_ids'");
  sql("REINDEX session_ids");
  sql("PRAGMA writable_schema=ON; UPDATE sqlite_schema SET sql = '" + declared
      + "' WHERE name = 'session_ids'");
  const auto report = check();
  ASSERT_TRUE(report) << report.error();
  ASSERT_TRUE(report->found.first);
  EXPECT_EQ(report->found.first->table, "(integrity_check)");
  EXPECT_NE(report->found.first->live.find("session_ids"), std::string::npos)
      << report->found.first->live;
}

// Goal: of one view its parked entities are compared too, and those of no other.
TEST_F(compare_test, one_view_with_what_is_parked) {
  sql("INSERT INTO parked VALUES('runs', 'run_x', 'run_x', 1, 0, 'why')");
  const auto of = [&](const std::string& view) {
    return views::check(path, log, {view, elsewhere / "check", {}});
  };
  ASSERT_TRUE(of("runs"));
  EXPECT_EQ(of("runs")->found.first->table, "parked");
  EXPECT_FALSE(of("sessions")->found.first);
}

// Goal: views that are behind the ledger are compared with what it held then, and told so.
TEST_F(compare_test, behind) {
  auto session = facts.fresh_session();
  facts.write_session(session, facts.turn(facts.fresh_run(session)));
  const auto report = check();
  ASSERT_TRUE(report);
  EXPECT_FALSE(report->found.first);
  EXPECT_EQ(report->lag, 1);
}

// Goal: views of another ledger differ, at their position first.
TEST_F(compare_test, other_ledger) {
  memory_log other;
  history different{other};
  auto session = different.fresh_session();
  different.write_session(session, different.turn(different.fresh_run(session)));
  const auto report = views::check(path, other, {{}, path + ".check", {}});
  ASSERT_TRUE(report) << report.error();
  ASSERT_TRUE(report->found.first);
  EXPECT_EQ(report->found.first->table, "positions");
}

// Goal: what cannot be compared is refused in words; nothing is changed, and nothing left behind.
TEST_F(compare_test, refuses) {
  const auto refused = [&](const std::string& words) {
    const auto before = folder_state(folder.path());
    const auto report = check();
    ASSERT_FALSE(report);
    EXPECT_NE(report.error().find(words), std::string::npos) << report.error();
    EXPECT_EQ(folder_state(folder.path()), before);
  };
  const auto before = folder_state(folder.path());
  ASSERT_TRUE(check());
  EXPECT_EQ(folder_state(folder.path()), before);
  sql("UPDATE meta SET value = '99' WHERE name = 'schema_version'");
  refused("has schema 99, this version of runledger has 2");
  std::ofstream{path} << "this is no database, but long enough to be looked at as if it were one";
  refused("cannot be compared");
  std::filesystem::remove(path);
  refused("is not there");
}

// Goal: every table of the file belongs to one view, or to all.
TEST_F(compare_test, no_table_is_left_out) {
  const auto tables = views::dump(path);
  ASSERT_TRUE(tables);
  std::set<std::string> named = {"positions", "parked"}, there;
  for (const auto& view : views::all_views())
    for (const auto table : view.tables)
      EXPECT_TRUE(named.emplace(table).second) << table;
  for (const auto& [table, rows] : *tables)
    there.insert(table);
  EXPECT_EQ(named, there);
}

} // namespace
} // namespace runledger::test
