#include "events/log/sqlite_log.hpp"

#include "events/log/data_folder_lock.hpp"
#include "events/log/sqlite.hpp"
#include "tests/support/fault_fs.hpp"
#include "tests/support/log_conformance.hpp"
#include "tests/support/pace.hpp"
#include "tests/support/temp_folder.hpp"

#include <sys/stat.h>
#include <sys/wait.h>

#include <filesystem>

namespace runledger::test {

namespace {

std::unique_ptr<sqlite_log> open_or_null(sqlite_log_options options) {
  auto log = sqlite_log::open(std::move(options));
  if (!log) {
    ADD_FAILURE() << log.error();
    return nullptr;
  }
  return std::move(*log);
}

} // namespace

struct sqlite_ledger {
  event_log& log() { return *log_; }
  temp_folder folder_;
  std::unique_ptr<sqlite_log> log_ =
      open_or_null({.folder = folder_.path(), .verify_appends = true, .wal_preallocated_bytes = 0});
};
INSTANTIATE_TYPED_TEST_SUITE_P(sqlite, log_conformance, sqlite_ledger);

/// The same promises when no head is remembered and no recent record kept: everything goes through
/// the file.
struct sqlite_ledger_without_caches {
  event_log& log() { return *log_; }
  temp_folder folder_;
  std::unique_ptr<sqlite_log> log_ = open_or_null({.folder = folder_.path(),
                                                   .verify_appends = true,
                                                   .cached_heads = 1,
                                                   .recent_records = 0,
                                                   .checkpoint_bytes = 64 << 10,
                                                   .wal_limit_bytes = 256 << 10,
                                                   .wal_preallocated_bytes = 0});
};
INSTANTIATE_TYPED_TEST_SUITE_P(sqlite_without_caches, log_conformance,
                               sqlite_ledger_without_caches);

/// The same promises when another thread syncs every group.
struct sqlite_ledger_synced_behind {
  event_log& log() { return *log_; }
  temp_folder folder_;
  std::unique_ptr<sqlite_log> log_ = open_or_null({.folder = folder_.path(),
                                                   .verify_appends = true,
                                                   .wal_preallocated_bytes = 0,
                                                   .background_requests = 1});
};
INSTANTIATE_TYPED_TEST_SUITE_P(sqlite_synced_behind, log_conformance, sqlite_ledger_synced_behind);

class sqlite_log_test : public testing::Test {
protected:
  void SetUp() override { open(); }

  void open() {
    log_.reset();
    log_ = open_or_null(options_);
    ASSERT_TRUE(log_);
    auto taken = take_partition(*log_, 0, "node", clock_, ids_);
    ASSERT_TRUE(taken) << taken.error().detail;
    epoch_ = taken->epoch;
  }
  append_result send(records events) { return append_one(*log_, std::move(events)); }
  void accept(records events) {
    auto answer = send(std::move(events));
    EXPECT_EQ(answer.outcome, append_outcome::accepted) << answer.detail;
  }
  std::size_t length(std::uint64_t n) {
    auto events = log_->read_stream(stream_id{session_name(n)}, 1, 100000);
    EXPECT_TRUE(events) << (events ? "" : events.error().detail);
    return events ? events->size() : 0;
  }
  /// Runs SQL as another program would.
  void edit(const std::string& sql) {
    auto db = sqlite::connection::open(folder_ / "ledger.db", sqlite::open_mode::read_write);
    ASSERT_TRUE(db);
    auto done = db->exec(sql.c_str());
    ASSERT_TRUE(done) << sql << ": " << done.error().message;
  }
  std::string query(const std::string& sql) {
    auto db = sqlite::connection::open(folder_ / "ledger.db", sqlite::open_mode::read_only);
    auto text = db ? db->query_text(sql) : db.error();
    return text ? text->value_or("") : text.error().message;
  }

  temp_folder folder_;
  sqlite_log_options options_{.folder = folder_.path(), .wal_preallocated_bytes = 0};
  std::unique_ptr<sqlite_log> log_;
  fixed_clock clock_;
  counting_ids ids_;
  std::uint64_t epoch_ = 0;
};

// Goal: a new file is private, tells what it is, and holds the ledger's id.
TEST_F(sqlite_log_test, makes_a_private_file_that_says_what_it_is) {
  struct stat info {};
  ASSERT_EQ(::stat((folder_ / "ledger.db").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat((folder_ / "ledger.db-wal").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_EQ(query("PRAGMA application_id"), "1382960231");
  EXPECT_EQ(query("PRAGMA user_version"), "1");
  EXPECT_EQ(query("SELECT value FROM meta WHERE name = 'schema_version'"), "1");
  EXPECT_EQ(query("SELECT value FROM meta WHERE name = 'ledger_id'").size(), 26u);
  EXPECT_EQ(query("SELECT count(*) FROM events WHERE stream = 'part_ledger_0'"), "2");
}

// Goal: all state is there after a clean end: heads, epoch, end, unfinished work, repeats.
TEST_F(sqlite_log_test, goes_on_after_a_reopen) {
  stream_maker a{session_name(1), epoch_};
  auto first = a.next("1"), second = a.next("2", true, 77);
  accept({first, second});
  open();
  EXPECT_EQ(epoch_, 2u);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ledger.db-journal"));
  EXPECT_EQ(log_->end_offset(0), 5);
  EXPECT_EQ(log_->unfinished(0, {}, 10)->at(0).due_ms, 77);
  accept({std::make_shared<record>(*first)}); // The cache does not know the stream.
  accept({std::make_shared<record>(*second)});
  EXPECT_EQ(log_->end_offset(0), 5);
  a.epoch(epoch_);
  accept({a.next("3")});
  EXPECT_EQ(length(1), 3u);
  EXPECT_TRUE(log_->unfinished(0, {}, 10)->empty());
}

// Goal: a first event of a stream that the cache has forgotten meets the unique index, and the
// group is decided again with the file's heads.
TEST_F(sqlite_log_test, decides_again_when_a_forgotten_stream_exists) {
  std::vector<records> repeats;
  stream_maker rival{session_name(1), epoch_};
  for (std::uint64_t i = 0; i < 20; ++i) {
    stream_maker s{session_name(i), epoch_};
    auto first = s.next("1"), second = s.next("2");
    accept({first, second});
    repeats.push_back({std::make_shared<record>(*first), std::make_shared<record>(*second)});
  }
  open();
  repeats.push_back({rival.next("9")});
  stream_maker fresh{session_name(99), epoch_};
  repeats.push_back({fresh.next("1")});
  auto end = log_->end_offset(0);
  auto results = append_group(*log_, repeats);
  ASSERT_EQ(results.size(), 22u);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(results[i].outcome, append_outcome::accepted) << results[i].detail;
  EXPECT_EQ(results[20].outcome, append_outcome::rejected);
  EXPECT_EQ(results[21].outcome, append_outcome::accepted);
  EXPECT_EQ(log_->end_offset(0), end + 1);
  EXPECT_EQ(length(99), 1u);
}

// Goal: at whatever moment the files are cut off, what opens is a prefix that goes on.
TEST_F(sqlite_log_test, opens_a_prefix_of_a_torn_wal) {
  stream_maker a{session_name(1), epoch_};
  for (int i = 0; i < 30; ++i)
    accept({a.next(std::to_string(i), true), a.next(std::to_string(i), false)});
  auto wal = folder_ / "ledger.db-wal";
  auto full = std::filesystem::file_size(wal);
  std::size_t longest = 0, shortest = 1000;
  for (std::uintmax_t cut = 0; cut <= full; cut += full / 40 + 7) {
    temp_folder copy;
    std::filesystem::copy_file(folder_ / "ledger.db", copy / "ledger.db");
    std::filesystem::copy_file(wal, copy / "ledger.db-wal");
    std::filesystem::resize_file(copy / "ledger.db-wal", cut);
    auto reopened = sqlite_log::open(
        {.folder = copy.path(), .verify_appends = true, .wal_preallocated_bytes = 0});
    ASSERT_TRUE(reopened) << reopened.error() << " at " << cut;
    auto taken = take_partition(**reopened, 0, "after", clock_, ids_);
    ASSERT_TRUE(taken) << taken.error().detail << " at " << cut;
    auto events = (*reopened)->read_stream(stream_id{session_name(1)}, 1, 1000);
    ASSERT_TRUE(events) << events.error().detail << " at " << cut;
    EXPECT_EQ(events->size() % 2, 0u) << "a request was torn";
    EXPECT_TRUE((*reopened)->unfinished(0, {}, 10)->empty());
    longest = std::max(longest, events->size());
    shortest = std::min(shortest, events->size());
    stream_maker more{session_name(2), taken->epoch};
    EXPECT_EQ(append_one(**reopened, {more.next()}).outcome, append_outcome::accepted);
  }
  EXPECT_EQ(shortest, 0u);
  EXPECT_GE(longest, 58u);
}

struct column_edit {
  const char* name;
  const char* value; ///< SQL; other types are possible where a tool turned STRICT off.
};
class sqlite_log_damage : public sqlite_log_test,
                          public testing::WithParamInterface<column_edit> {};

// Goal: whichever hashed or typed value of a row is changed, no read hands it out as sound, and the
// place is named.
TEST_P(sqlite_log_damage, is_noticed_in_every_column) {
  stream_maker a{session_name(1), epoch_};
  accept({a.next("1"), a.next("2"), a.next("3")});
  auto place = log_->head(stream_id{session_name(1)});
  ASSERT_TRUE(place);
  options_.recent_records = 0;
  log_.reset();
  // A table without types takes what a broken tool or disk may leave.
  edit("PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '')"
       " WHERE name = 'events'");
  edit(std::string{"UPDATE events SET "} + GetParam().name + " = " + GetParam().value
       + " WHERE stream = '" + session_name(1) + "' AND seq = 2");
  log_ = open_or_null(options_);
  ASSERT_TRUE(log_);

  std::string name = GetParam().name;
  auto events = log_->read_stream(stream_id{session_name(1)}, 1, 100);
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().what, read_error::kind::corrupt);
  EXPECT_EQ(events.error().stream.value, session_name(1));
  EXPECT_EQ(events.error().seq, 2u);
  EXPECT_FALSE(events.error().detail.empty());
  auto all = log_->read_partition(0, 0, 100);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 5u);
  for (const auto& r : *all)
    EXPECT_EQ(r->damage.empty(), r->offset != 3) << r->offset << ' ' << r->damage;
}

INSTANTIATE_TEST_SUITE_P(
    columns, sqlite_log_damage,
    testing::Values(column_edit{"stream", "'sess_other'"}, column_edit{"stream", "x'00'"},
                    column_edit{"seq", "7"}, column_edit{"seq", "-1"}, column_edit{"seq", "'x'"},
                    column_edit{"type", "type || '2'"}, column_edit{"type", "x'00'"},
                    column_edit{"workspace", "'other'"}, column_edit{"\"partition\"", "-1"},
                    column_edit{"\"partition\"", "x'ff'"}, column_edit{"partitionkey", "'other'"},
                    column_edit{"time", "time + 1"}, column_edit{"time", "9223372036854775807"},
                    column_edit{"time", "-9223372036854775808"}, column_edit{"epoch", "'x'"},
                    column_edit{"epoch", "-1"}, column_edit{"\"open\"", "2"},
                    column_edit{"due_ms", "'soon'"}, column_edit{"causationid", "'other'"},
                    column_edit{"correlationid", "''"}, column_edit{"principal", "'system'"},
                    column_edit{"traceparent", "x'00ff'"}, column_edit{"datahash", "x'00'"},
                    column_edit{"datahash", "zeroblob(32)"},
                    column_edit{"prevhash", "zeroblob(32)"}, column_edit{"prevhash", "'x'"},
                    column_edit{"eventhash", "zeroblob(32)"}, column_edit{"eventhash", "x''"},
                    column_edit{"data", "data || ' '"}, column_edit{"data", "x'7b7d'"},
                    column_edit{"data", "''"}));

// Goal: a missing event in the middle is named.
TEST_F(sqlite_log_test, names_a_missing_event) {
  stream_maker a{session_name(1), epoch_};
  accept({a.next("1"), a.next("2"), a.next("3")});
  edit("DELETE FROM events WHERE stream = '" + session_name(1) + "' AND seq = 2");
  for (std::uint64_t from : {1, 2, 3}) {
    auto events = log_->read_stream(stream_id{session_name(1)}, from, 100);
    ASSERT_FALSE(events) << from;
    EXPECT_EQ(events.error().seq, 2u);
    EXPECT_EQ(events.error().what, read_error::kind::corrupt);
  }
}

// Goal: a history that was exchanged, with hashes that fit within it, is noticed where it is read
// on.
TEST_F(sqlite_log_test, notices_an_exchanged_event) {
  stream_maker a{session_name(1), epoch_};
  auto forged = a;
  accept({a.next("1"), a.next("2")});
  auto lie = forged.next("9");
  edit("UPDATE events SET data = '{\"n\":9}', datahash = x'" + to_hex(lie->event.datahash)
       + "', eventhash = x'" + to_hex(lie->event.eventhash) + "' WHERE stream = '" + session_name(1)
       + "' AND seq = 1");
  for (std::uint64_t from : {1, 2}) {
    auto events = log_->read_stream(stream_id{session_name(1)}, from, 100);
    ASSERT_FALSE(events);
    EXPECT_EQ(events.error().seq, 2u);
  }
}

// Goal: a damaged claim is no start.
TEST_F(sqlite_log_test, does_not_open_with_a_damaged_claim) {
  log_.reset();
  edit("UPDATE events SET epoch = 9 WHERE stream = 'part_ledger_0' AND seq = 2");
  auto opened = sqlite_log::open({.folder = folder_.path()});
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().find("part_ledger_0 seq 2"), std::string::npos) << opened.error();
}

// Goal: a file of a newer version, of another program, or no database at all is refused in words.
TEST_F(sqlite_log_test, refuses_files_that_it_does_not_understand) {
  log_.reset();
  edit("PRAGMA user_version = 2");
  auto newer = sqlite_log::open({.folder = folder_.path()});
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().find("newer version of runledger"), std::string::npos) << newer.error();
  auto read = sqlite_log::open({.folder = folder_.path(), .read_only = true});
  ASSERT_FALSE(read);
  EXPECT_NE(read.error().find("newer version of runledger"), std::string::npos) << read.error();
  edit("PRAGMA application_id = 1");
  auto foreign = sqlite_log::open({.folder = folder_.path()});
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().find("is not a runledger ledger"), std::string::npos);
  temp_folder other;
  FILE* file = std::fopen((other / "ledger.db").c_str(), "w");
  std::fputs("this is no database, but it is long enough to be taken for one at first sight", file);
  std::fclose(file);
  EXPECT_FALSE(sqlite_log::open({.folder = other.path()}));
  EXPECT_FALSE(sqlite_log::open({.folder = other / "nowhere"}));
}

// Goal: an offline reader sees what a server writes, writes nothing, and needs no writable folder.
TEST_F(sqlite_log_test, is_read_offline_and_while_it_is_written) {
  stream_maker a{session_name(1), epoch_};
  accept({a.next("1")});
  auto reader = open_or_null({.folder = folder_.path(), .read_only = true});
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->end_offset(0), 3);
  EXPECT_EQ(reader->partition_state(0).epoch, epoch_);
  accept({a.next("2")});
  EXPECT_EQ(reader->end_offset(0), 4);
  EXPECT_EQ(read_all(*reader).size(), 4u);
  EXPECT_EQ(append_one(*reader, {a.peek("3")}).outcome, append_outcome::unavailable);
  reader.reset();
  EXPECT_EQ(length(1), 2u);
  accept({a.next("3")});
}

// Goal: a folder that cannot be written is told in words, and its ledger can still be read offline.
TEST_F(sqlite_log_test, meets_a_folder_that_it_cannot_write) {
  accept({stream_maker{session_name(1), epoch_}.next("1")});
  log_.reset();
  ::chmod((folder_ / "ledger.db").c_str(), 0444);
  ::chmod(folder_.path().c_str(), 0555);
  auto child = ::fork();
  if (child == 0) {
    if (::geteuid() == 0 && ::setuid(65534) != 0) // Root may write everywhere.
      ::_exit(9);
    auto writer = sqlite_log::open({.folder = folder_.path()});
    auto reader = sqlite_log::open({.folder = folder_.path(), .read_only = true});
    if (writer || writer.error().find("ledger.db") == std::string::npos)
      ::_exit(1);
    if (!reader)
      ::_exit(2);
    auto events = (*reader)->read_stream(stream_id{session_name(1)}, 1, 10);
    ::_exit(events && events->size() == 1 && !data_folder_lock::acquire(folder_.path()) ? 0 : 3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ::chmod(folder_.path().c_str(), 0700);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Goal: a process that a killed server was just spawning does not keep the next server out.
TEST(data_folder, waits_for_what_a_killed_server_leaves) {
  temp_folder folder;
  auto server = ::fork();
  if (server == 0) {
    auto lock = data_folder_lock::acquire(folder.path());
    if (lock && ::fork() == 0) { // Holds the lock too, and ends by itself.
      let_pass(std::chrono::milliseconds{100});
      ::_exit(0);
    }
    ::_exit(lock ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(server, &status, 0), server);
  ASSERT_EQ(status, 0);
  auto next = data_folder_lock::acquire(folder.path());
  EXPECT_TRUE(next) << next.error();
}

// Goal: two servers never share a data folder, and the second learns who holds it.
TEST(data_folder, is_locked_by_one_server) {
  temp_folder folder;
  auto data = folder / "a/b";
  auto lock = data_folder_lock::acquire(data);
  ASSERT_TRUE(lock) << lock.error();
  auto second = data_folder_lock::acquire(data);
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find("pid " + std::to_string(::getpid())), std::string::npos)
      << second.error();
  struct stat info {};
  ASSERT_EQ(::stat(data.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  { auto gone = std::move(*lock); }
  EXPECT_TRUE(data_folder_lock::acquire(data));
}

// Goal: the lock of a server that was killed is free.
TEST(data_folder, is_free_after_its_server_was_killed) {
  temp_folder folder;
  int ready[2];
  ASSERT_EQ(::pipe(ready), 0);
  auto child = ::fork();
  if (child == 0) {
    auto lock = data_folder_lock::acquire(folder.path());
    char byte = lock ? '1' : '0';
    if (::write(ready[1], &byte, 1) == 1)
      ::pause();
    ::_exit(1);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, '1');
  auto refused = data_folder_lock::acquire(folder.path());
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().find("pid " + std::to_string(child)), std::string::npos);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_TRUE(data_folder_lock::acquire(folder.path()));
  ::close(ready[0]);
  ::close(ready[1]);
}

class sqlite_log_faults : public sqlite_log_test {
protected:
  void SetUp() override {
    options_.verify_appends = true;
    sqlite_log_test::SetUp();
    ASSERT_EQ(fault_fs_use(faults_.path().c_str()), 0);
  }
  void TearDown() override {
    log_.reset();
    fault_fs_use(nullptr);
  }
  temp_folder control_;
  fault_fs faults_{control_ / "control", folder_.path()};
};

// Goal: a group is one transaction with one flush, whatever is in it.
TEST_F(sqlite_log_faults, flushes_once_a_group) {
  std::vector<records> group;
  for (std::uint64_t i = 0; i < 50; ++i)
    group.push_back({stream_maker{session_name(i), epoch_}.next("1", true)});
  auto before = faults_.syncs();
  for (const auto& r : append_group(*log_, group))
    EXPECT_EQ(r.outcome, append_outcome::accepted);
  EXPECT_EQ(faults_.syncs(), before + 1);
  auto writes = faults_.writes();
  for (const auto& r : append_group(*log_, group)) // Repeats cost nothing.
    EXPECT_EQ(r.outcome, append_outcome::accepted);
  EXPECT_EQ(faults_.syncs(), before + 1);
  EXPECT_EQ(faults_.writes(), writes);
}

// Goal: with a full disk nothing is accepted and nothing is lost, at whichever byte it is full;
// when there is room again the same writer goes on.
TEST_F(sqlite_log_faults, heals_after_a_full_disk) {
  stream_maker a{session_name(1), epoch_}, b{session_name(2), epoch_};
  accept({a.next("0", true)});
  for (std::int64_t room : {0, 1, 24, 100, 4119, 4120, 5000, 9000}) {
    auto end = log_->end_offset(0);
    auto first = a.peek("1", true), other = b.peek("1", true);
    faults_.disk_full(room);
    for (const auto& r : append_group(*log_, {{first}, {other}})) {
      EXPECT_EQ(r.outcome, append_outcome::unavailable) << room;
      EXPECT_FALSE(r.detail.empty());
    }
    EXPECT_EQ(log_->end_offset(0), end);
    EXPECT_EQ(first->offset, -1);
    EXPECT_FALSE(log_->failed());
    EXPECT_EQ(length(1), a.head().seq);
    faults_.disk_has_room();
    accept({a.next("2", true)});
    accept({b.next("2", false)});
    EXPECT_EQ(log_->unfinished(0, {}, 10)->size(), 1u);
  }
  open();
  EXPECT_EQ(length(1), a.head().seq);
  EXPECT_EQ(length(2), b.head().seq);
}

// Goal: a full disk during a checkpoint is no failure.
TEST_F(sqlite_log_faults, checkpoints_after_a_full_disk) {
  options_.checkpoint_bytes = 64 << 10;
  open();
  stream_maker a{session_name(1), epoch_};
  auto data = '"' + std::string(20000, 'x') + '"';
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 5)
      faults_.disk_full(30000);
    auto answer = send({a.peek(data)});
    if (answer.outcome == append_outcome::accepted)
      a.next(data);
    else
      EXPECT_EQ(answer.outcome, append_outcome::unavailable) << answer.detail;
    if (i % 10 == 8)
      faults_.disk_has_room();
  }
  faults_.disk_has_room();
  EXPECT_FALSE(log_->failed()) << *log_->failed();
  accept({a.next("1")});
  EXPECT_GT(length(1), 50u);
  open();
  EXPECT_EQ(length(1), a.head().seq);
}

// Goal: where the disk is full only for the WAL's index, the commit may be on disk although SQLite
// does not count it: the outcome is unknown, nobody reads it, and the log goes on.
TEST_F(sqlite_log_faults, does_not_know_when_the_index_has_no_room) {
  options_.checkpoint_bytes = options_.wal_limit_bytes = std::int64_t{1} << 30;
  open();
  stream_maker a{session_name(1), epoch_};
  auto data = '"' + std::string(1 << 20, 'x') + '"';
  faults_.only("-shm");
  faults_.disk_full();
  append_result answer;
  do {
    answer = send({a.peek(data)});
    if (answer.outcome == append_outcome::accepted)
      a.next(data);
  } while (answer.outcome == append_outcome::accepted && a.head().seq < 30);
  EXPECT_EQ(answer.outcome, append_outcome::unknown) << answer.detail;
  EXPECT_FALSE(log_->failed());
  EXPECT_EQ(length(1), a.head().seq);
  faults_.disk_has_room();
  accept({a.next("1")});
  EXPECT_EQ(length(1), a.head().seq);
  open();
  EXPECT_EQ(length(1), a.head().seq);
}

// Goal: after a failed flush the log is dead: the group is unknown, all later ones are unavailable,
// and nothing is written any more.
TEST_F(sqlite_log_faults, is_dead_after_a_failed_flush) {
  stream_maker a{session_name(1), epoch_};
  accept({a.next("1")});
  faults_.fail_syncs(1);
  auto end = log_->end_offset(0);
  EXPECT_EQ(send({a.peek("2")}).outcome, append_outcome::unknown);
  EXPECT_EQ(log_->end_offset(0), end);
  ASSERT_TRUE(log_->failed());
  EXPECT_NE(log_->failed()->find("the ledger cannot be written"), std::string::npos);
  auto writes = faults_.writes(), syncs = faults_.syncs();
  EXPECT_EQ(send({a.peek("2")}).outcome, append_outcome::unavailable);
  EXPECT_EQ(length(1), 1u);
  log_.reset();
  EXPECT_EQ(faults_.writes(), writes);
  EXPECT_EQ(faults_.syncs(), syncs);
  open();
  EXPECT_GE(length(1), 1u); // The unknown one may be there or not: it was never acknowledged.
  EXPECT_LE(length(1), 2u);
}

// Goal: an error of the disk on a write is as final as one on a flush.
TEST_F(sqlite_log_faults, is_dead_after_a_failed_write) {
  stream_maker a{session_name(1), epoch_};
  faults_.fail_writes(1);
  auto answer = send({a.peek("1")});
  EXPECT_EQ(answer.outcome, append_outcome::unknown);
  EXPECT_TRUE(log_->failed());
  EXPECT_EQ(send({a.peek("1")}).outcome, append_outcome::unavailable);
}

// Goal: a flush that fails in the checkpointer, which alone flushes the database file, stops the
// writer, too.
TEST_F(sqlite_log_faults, is_dead_after_a_failed_checkpoint) {
  options_.checkpoint_bytes = 1 << 20;
  open();
  faults_.only("/ledger.db");
  faults_.fail_syncs(-1);
  stream_maker a{session_name(1), epoch_};
  auto data = '"' + std::string(100000, 'x') + '"';
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (!log_->failed() && std::chrono::steady_clock::now() < deadline)
    if (send({a.peek(data)}).outcome == append_outcome::accepted)
      a.next(data);
  ASSERT_TRUE(log_->failed());
  EXPECT_NE(log_->failed()->find("checkpoint failed"), std::string::npos) << *log_->failed();
  EXPECT_EQ(send({a.peek("1")}).outcome, append_outcome::unavailable);
  log_.reset();
  faults_.fail_syncs(0);
  open();
  EXPECT_EQ(length(1), a.head().seq); // What was acknowledged is in the WAL.
}

// Goal: the WAL stays within its bound under a writer that never rests, and is gone after a clean
// end.
TEST_F(sqlite_log_test, bounds_the_wal) {
  options_.checkpoint_bytes = 1 << 20;
  options_.wal_limit_bytes = 4 << 20;
  open();
  stream_maker a{session_name(1), epoch_};
  auto data = '"' + std::string(50000, 'x') + '"';
  for (int i = 0; i < 400; ++i) // 20 MB.
    accept({a.next(data)});
  EXPECT_LT(std::filesystem::file_size(folder_ / "ledger.db-wal"), 12u << 20);
  EXPECT_GT(log_->figures().checkpoints, 3u);
  EXPECT_GT(std::filesystem::file_size(folder_ / "ledger.db"), 14u << 20);
  log_.reset();
  std::error_code none;
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ledger.db-wal", none));
}

// Goal: a WAL that was made long in advance is no damage: not after a crash before its first frame,
// not after one in its middle, and it is gone after a clean end.
TEST_F(sqlite_log_test, preallocates_the_wal) {
  options_.wal_preallocated_bytes = 1 << 20;
  log_.reset();
  log_ = open_or_null(options_);
  ASSERT_TRUE(log_);
  auto crash = [&](std::size_t expected) {
    temp_folder copy;
    for (const char* name : {"ledger.db", "ledger.db-wal"})
      std::filesystem::copy_file(folder_ / name, copy / name);
    EXPECT_EQ(std::filesystem::file_size(copy / "ledger.db-wal"), std::uintmax_t{1} << 20);
    auto again = open_or_null({.folder = copy.path(), .wal_preallocated_bytes = 1 << 20});
    ASSERT_TRUE(again);
    EXPECT_EQ(read_all(*again).size(), expected);
    EXPECT_TRUE(take_partition(*again, 0, "after", clock_, ids_));
  };
  crash(2);
  stream_maker a{session_name(1), epoch_};
  accept({a.next("1")});
  accept({a.next("2")});
  crash(4);
  log_.reset();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "ledger.db-wal"));
}

// Goal: the figures count what happened.
TEST_F(sqlite_log_test, counts) {
  auto before = log_->figures();
  stream_maker a{session_name(1), epoch_};
  accept({a.next(), a.next()});
  send({stream_maker{session_name(1), epoch_}.next("9")});
  auto after = log_->figures();
  EXPECT_EQ(after.groups, before.groups + 1);
  EXPECT_EQ(after.events, before.events + 2);
  EXPECT_EQ(after.rejected, before.rejected + 1);
  EXPECT_GT(after.wal_bytes, 0);
}

// Goal: a seal and origins are known to whoever opens the file next, also for reading alone.
TEST(sqlite_log, knows_seal_and_origins_when_it_is_opened_again) {
  temp_folder folder;
  fixed_clock clock;
  counting_ids ids;
  {
    auto log = open_or_null({.folder = folder.path(), .wal_preallocated_bytes = 0});
    auto claim = take_partition(*log, 0, "a", clock, ids);
    ASSERT_TRUE(claim);
    stream_maker s{session_name(1), 1};
    auto copied = s.next();
    copied->origin = "L:part_ledger_0:0";
    ASSERT_EQ(append_one(*log, {copied}).outcome, append_outcome::accepted);
    const stream_id own{"part_ledger_0"};
    auto fact = encode(partition_event{partition_sealed{"sqlite:/b", "L2", 1, sha256("x")}});
    ASSERT_EQ(append_one(*log, {make_record(claim->head,
                                            own_attributes(own, fact.type, fact.data, clock.now()),
                                            1, false)})
                  .outcome,
              append_outcome::accepted);
  }
  for (const bool read_only : {true, false}) {
    sqlite_log_options options{.folder = folder.path(), .wal_preallocated_bytes = 0};
    if (read_only)
      options = {.file = folder / "ledger.db", .read_only = true};
    auto log = open_or_null(std::move(options));
    EXPECT_TRUE(log->partition_state(0).sealed);
    EXPECT_EQ(read_all(*log)[2]->origin, "L:part_ledger_0:0");
  }
}

} // namespace runledger::test
