#include "projections/sql.hpp"
#include "tests/support/random_history.hpp"
#include "tests/unit/projections/view_fixture.hpp"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

namespace runledger::test {
namespace {

class view_store_test : public ::testing::Test {
protected:
  temp_folder folder;
  std::string path = folder / "views.db";
  memory_log log;
  random_history model{log, 7};

  void grow(int steps) {
    for (int i = 0; i < steps; ++i)
      model.step();
  }
  std::map<std::string, std::string> rebuilt() {
    auto other = folder / "rebuilt.db";
    EXPECT_TRUE(views::rebuild(other, log));
    return *views::dump(other);
  }
  void sql(const char* text) {
    auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
    ASSERT_TRUE(db);
    ASSERT_TRUE(db->exec(text));
  }
  void make_file() {
    ASSERT_TRUE(views::rebuild(path, log));
    ASSERT_EQ(views::distrust(path, log), std::nullopt);
  }
};

// Goal: rows and position stay together if the process is killed at any statement of a commit.
TEST_F(view_store_test, killed_at_any_statement) {
  grow(120);
  auto expected = rebuilt();
  static int statements_left = 0;
  bool finished = false;
  int kills = 0;
  for (int nth = 1; !finished; ++nth) {
    auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto opened = views::view_store::open(path, views::writing::live);
      statements_left = nth;
      sqlite3_trace_v2((*opened)->database().raw(), SQLITE_TRACE_STMT,
                       [](unsigned, void*, void*, void*) {
                         if (--statements_left == 0)
                           ::kill(::getpid(), SIGKILL);
                         return 0;
                       },
                       nullptr);
      for (;;) {
        auto records = log.read_partition(0, (*opened)->next_offset(0), 25);
        if (records->empty())
          ::_exit(0);
        (void)(*opened)->apply(*records);
      }
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    finished = WIFEXITED(status);
    kills += finished ? 0 : 1;
    // Whatever is in the file is a prefix: going on from it gives the whole.
    auto other = views::view_store::open(path, views::writing::live);
    ASSERT_TRUE(other);
    for (;;) {
      auto records = log.read_partition(0, (*other)->next_offset(0), 1000);
      if (records->empty())
        break;
      ASSERT_TRUE((*other)->apply(*records));
    }
    EXPECT_EQ(*views::dump(path), expected) << "killed at statement " << nth;
    other->reset();
    for (const char* side : {"", "-wal", "-shm"})
      ::unlink((path + side).c_str());
  }
  EXPECT_GT(kills, 40);
}

// Goal: a commit that fails changes nothing, and the same records can be applied again.
TEST_F(view_store_test, failed_commit_changes_nothing) {
  grow(600);
  auto opened = views::view_store::open(path, views::writing::live);
  ASSERT_TRUE(opened);
  auto& views_store = **opened;
  auto records = log.read_partition(0, 0, 100);
  ASSERT_TRUE(views_store.apply(*records));
  auto before = *views::dump(path);
  auto more = log.read_partition(0, views_store.next_offset(0), 1000);
  ASSERT_FALSE(more->empty());
  sqlite3_commit_hook(
      views_store.database().raw(), [](void*) { return 1; }, nullptr);
  EXPECT_FALSE(views_store.apply(*more));
  EXPECT_EQ(*views::dump(path), before);
  EXPECT_EQ(views_store.next_offset(0), records->back()->offset + 1);
  EXPECT_TRUE(views_store.changes().empty());
  sqlite3_commit_hook(views_store.database().raw(), nullptr, nullptr);
  ASSERT_TRUE(views_store.apply(*more));
  EXPECT_EQ(*views::dump(path), rebuilt());
}

// Goal: a file of another schema or of other folds is not continued.
TEST_F(view_store_test, other_versions_are_not_trusted) {
  grow(20);
  make_file();
  sql("UPDATE meta SET value = '0' WHERE name = 'schema_version'");
  EXPECT_NE(views::distrust(path, log), std::nullopt);
  make_file();
  sql("UPDATE meta SET value = '0' WHERE name = 'fold_version'");
  EXPECT_NE(views::distrust(path, log), std::nullopt);
  make_file();
  sql("DROP TABLE meta");
  EXPECT_NE(views::distrust(path, log), std::nullopt);
  std::ofstream{path} << "this is no database, but long enough to be looked at as if it were one";
  EXPECT_NE(views::distrust(path, log), std::nullopt);
  make_file();
}

// Goal: after a stop of the machine only a file that was ended cleanly is continued.
TEST_F(view_store_test, stop_of_the_machine) {
  grow(20);
  make_file();
  sql("UPDATE meta SET value = 'an earlier boot' WHERE name = 'boot_id'");
  EXPECT_NE(views::distrust(path, log), std::nullopt);
  ASSERT_TRUE(views::mark_clean(path));
  EXPECT_EQ(views::distrust(path, log), std::nullopt);
  ASSERT_TRUE(views::unmark_clean(path));
  ASSERT_TRUE(views::unmark_clean(path));
  EXPECT_NE(views::distrust(path, log), std::nullopt);
}

// Goal: views of another ledger, or of one that was cut off, are not continued.
TEST_F(view_store_test, other_ledger_is_not_trusted) {
  grow(20);
  make_file();
  memory_log other;
  random_history different{other, 8};
  for (int i = 0; i < 200; ++i)
    different.step();
  EXPECT_NE(views::distrust(path, other), std::nullopt);
  memory_log empty;
  EXPECT_NE(views::distrust(path, empty), std::nullopt);
}

// Goal: a rebuild that is stopped leaves the old file as it was.
TEST_F(view_store_test, stopped_rebuild_keeps_the_old_file) {
  grow(20);
  make_file();
  auto before = *views::dump(path);
  grow(50);
  EXPECT_FALSE(views::rebuild(path, log, {[] { return true; }, {}}));
  EXPECT_EQ(*views::dump(path), before);
}

} // namespace
} // namespace runledger::test
