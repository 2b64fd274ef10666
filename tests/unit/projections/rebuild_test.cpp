#include "projections/rebuild.hpp"

#include "projections/compare.hpp"
#include "projections/view_names.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/random_history.hpp"
#include "tests/unit/projections/view_fixture.hpp"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>

namespace {
bool fail_renames = false;
} // namespace

/// In the place of the C library's.
extern "C" int rename(const char* from, const char* to) noexcept {
  if (fail_renames) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace runledger::test {
namespace {

int statements_left = 0;

/// Every connection that is opened from now on counts its statements and dies at the last.
void die_after(int statements) {
  statements_left = statements;
  sqlite3_auto_extension(reinterpret_cast<void (*)()>(+[](sqlite3* db, const char**, const void*) {
    return sqlite3_trace_v2(
        db, SQLITE_TRACE_STMT,
        [](unsigned, void*, void*, void*) {
          if (--statements_left == 0)
            ::kill(::getpid(), SIGKILL);
          return 0;
        },
        nullptr);
  }));
}

class rebuild_test : public ::testing::Test {
protected:
  temp_folder folder;
  std::string path = folder / "views.db";
  memory_log log;
  random_history model{log, 11};

  void grow(int steps) {
    for (int i = 0; i < steps; ++i)
      model.step();
  }
  /// The live file, grown in small batches.
  void make_live() {
    auto store = views::view_store::open(path, views::writing::live);
    ASSERT_TRUE(store);
    for (;;) {
      auto records = log.read_partition(0, (*store)->next_offset(0), 17);
      if (records->empty())
        break;
      ASSERT_TRUE((*store)->apply(*records));
    }
  }
  void sql(const std::string& text) {
    auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
    ASSERT_TRUE(db);
    auto done = db->exec(text.c_str());
    ASSERT_TRUE(done) << done.error().message;
  }
  std::string number(const std::string& text) {
    auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
    auto out = db->query_text(text);
    return out && *out ? **out : "(nothing)";
  }
  views::check_report checked(const std::string& view = {}) {
    auto report = views::check(path, log, {view, path + ".check", {}});
    EXPECT_TRUE(report) << (report ? "" : report.error());
    return report ? *report : views::check_report{};
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& each : std::filesystem::directory_iterator{folder.path()})
      out.push_back(each.path().filename());
    std::ranges::sort(out);
    return out;
  }
};

// Goal: a rebuild that is killed at any statement leaves views that can be read, the old ones or
// the new ones, and the next one ends with the right ones, going on where the last one was.
TEST_F(rebuild_test, killed_at_any_statement) {
  grow(60);
  make_live();
  const auto expected = *views::dump(path);
  const auto end = log.end_offset(0);
  bool finished = false;
  int kills = 0, continued = 0;
  for (int nth = 1; !finished; ++nth) {
    const auto child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      die_after(nth);
      auto beside = views::views_beside::open(path, log);
      for (auto part : {end / 3, end / 2, end})
        (void)beside->fold({part}, {});
      (void)beside->complete();
      (void)beside->put_in_place();
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    finished = WIFEXITED(status);
    kills += finished ? 0 : 1;
    const auto live = views::dump(path);
    ASSERT_TRUE(live) << live.error().message;
    ASSERT_EQ(*live, expected) << "killed at statement " << nth;
    const auto again = views::rebuild(path, log);
    ASSERT_TRUE(again) << again.error();
    EXPECT_EQ(again->continued_at + again->events, static_cast<std::uint64_t>(end));
    continued += again->continued_at > 0 ? 1 : 0;
    ASSERT_EQ(*views::dump(path), expected) << "killed at statement " << nth;
    ASSERT_EQ(names(), std::vector<std::string>{"views.db"}) << nth;
  }
  EXPECT_GT(kills, 80);
  EXPECT_GT(continued, 40);
}

// Goal: what was begun from another ledger, or by another version, is not gone on with.
TEST_F(rebuild_test, goes_on_with_its_own_only) {
  grow(150);
  const auto begin = [&](const event_log& from) {
    auto beside = views::views_beside::open(path, from);
    ASSERT_TRUE(beside && beside->fold({from.end_offset(0) / 2}, {}));
  };
  begin(log);
  const auto own = views::rebuild(path, log);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->continued_at, static_cast<std::uint64_t>(log.end_offset(0) / 2));
  const auto expected = *views::dump(path);

  memory_log other;
  random_history different{other, 12};
  for (int i = 0; i < 150; ++i)
    different.step();
  begin(other);
  EXPECT_EQ(views::rebuild(path, log)->continued_at, 0u);
  EXPECT_EQ(*views::dump(path), expected);

  for (const char* name : {"schema_version", "fold_version", "boot_id"}) {
    begin(log);
    {
      auto db = sqlite::connection::open(path + ".new", sqlite::open_mode::read_write);
      const auto change = std::string{"UPDATE meta SET value = '0' WHERE name = '"} + name + "'";
      ASSERT_TRUE(db && db->exec(change.c_str()));
    }
    const auto anew = views::rebuild(path, log);
    ASSERT_TRUE(anew) << anew.error();
    EXPECT_EQ(anew->continued_at, 0u) << name;
    EXPECT_EQ(*views::dump(path), expected);
  }
}

// Goal: readers that have the old file open go on with it while the new one takes its place, is
// written to, and after they are gone.
TEST_F(rebuild_test, old_readers_do_no_harm) {
  grow(100);
  make_live();
  auto store = views::view_store::open(path, views::writing::live);
  auto old_reader = sqlite::connection::open(path, sqlite::open_mode::read_write);
  ASSERT_TRUE(old_reader->exec("BEGIN; SELECT count(*) FROM runs"));
  ASSERT_TRUE(old_reader->exec("COMMIT"));
  const auto before = old_reader->query_integer("SELECT sum(next) FROM positions");
  store->reset();
  grow(100);
  ASSERT_TRUE(views::rebuild(path, log));
  store = views::view_store::open(path, views::writing::live);
  ASSERT_TRUE(store);
  grow(100);
  auto records = log.read_partition(0, (*store)->next_offset(0), 100'000);
  ASSERT_TRUE((*store)->apply(*records));
  EXPECT_EQ(*old_reader->query_integer("SELECT sum(next) FROM positions"), *before);
  *old_reader = {};
  EXPECT_TRUE(std::filesystem::exists(path + "-wal"));
  EXPECT_FALSE(checked().found.first);
  EXPECT_EQ(checked().position, log.end_offset(0));
  store->reset();
  EXPECT_FALSE(checked().found.first);
}

// Goal: a rebuild in vain says why, leaves the views as they were, and nothing beside them.
TEST_F(rebuild_test, failure_leaves_nothing) {
  grow(50);
  const auto missing = views::rebuild(folder / "missing/views.db", log);
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().find("cannot be written"), std::string::npos) << missing.error();
  EXPECT_EQ(names(), std::vector<std::string>{});
}

// Goal: where the live file had to go first and the new one cannot take its name, the new one is
// kept, and the next rebuild goes on with it.
TEST_F(rebuild_test, keeps_the_only_file) {
  grow(100);
  std::ofstream{path} << "no database";
  fail_renames = true;
  const auto failed = views::rebuild(path, log);
  fail_renames = false;
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().find("Input/output error"), std::string::npos) << failed.error();
  EXPECT_EQ(names(), std::vector<std::string>{"views.db.new"});
  const auto done = views::rebuild(path, log);
  ASSERT_TRUE(done) << done.error();
  EXPECT_EQ(done->continued_at, static_cast<std::uint64_t>(log.end_offset(0)));
  EXPECT_FALSE(checked().found.first);
}

// Goal: a reader of one view's old rows keeps the new ones out of the file itself, and that is
// told: such a file is not marked as cleanly ended.
TEST_F(rebuild_test, one_view_beside_a_reader) {
  grow(100);
  make_live();
  auto reader = sqlite::connection::open(path, sqlite::open_mode::read_write);
  ASSERT_TRUE(reader->exec("BEGIN; SELECT count(*) FROM runs"));
  const auto beside = views::rebuild_view(path, log, "runs");
  ASSERT_TRUE(beside) << beside.error();
  EXPECT_FALSE(beside->in_one_file);
  ASSERT_TRUE(reader->exec("COMMIT"));
  const auto alone = views::rebuild_view(path, log, "runs");
  ASSERT_TRUE(alone) << alone.error();
  EXPECT_TRUE(alone->in_one_file);
}

// Goal: one view is mended alone; what is wrong elsewhere stays, to be seen.
TEST_F(rebuild_test, one_view_alone) {
  grow(200);
  make_live();
  sql("UPDATE runs SET cost_micro_usd = cost_micro_usd + 1; UPDATE sessions SET reason = 'wrong';"
      "INSERT INTO parked VALUES('runs', 'run_x', 'run_x', 1, 1, 'no'),"
      "('sessions', 'sess_x', 'sess_x', 1, 1, 'no')");
  const auto done = views::rebuild_view(path, log, "runs");
  ASSERT_TRUE(done) << done.error();
  EXPECT_FALSE(checked("runs").found.first);
  EXPECT_EQ(checked("sessions").found.first->column, "reason");
  EXPECT_EQ(number("SELECT group_concat(entity) FROM parked WHERE seq = 1 AND reason = 'no'"),
            "sess_x");
  ASSERT_TRUE(views::rebuild_view(path, log, "sessions"));
  EXPECT_FALSE(checked().found.first);
  EXPECT_EQ(names(), std::vector<std::string>{"views.db"});
}

// Goal: one view of a file that is not to be trusted as a whole is refused in words, and so is one
// that is not there.
TEST_F(rebuild_test, one_view_of_what_cannot_be_trusted) {
  grow(50);
  make_live();
  sql("UPDATE meta SET value = '0' WHERE name = 'fold_version'");
  const auto before = folder_state(folder.path());
  const auto refused = views::rebuild_view(path, log, "runs");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("folded by another version"), std::string::npos);
  EXPECT_EQ(names(), std::vector<std::string>{"views.db"});
  EXPECT_FALSE(views::rebuild_view(folder / "none.db", log, "runs"));
  EXPECT_EQ(names(), std::vector<std::string>{"views.db"});
}

} // namespace
} // namespace runledger::test
