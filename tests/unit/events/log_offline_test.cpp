#include "events/log/sqlite_log.hpp"

#include "events/log/private_copy.hpp"
#include "events/log/sqlite_source.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/log_writers.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <thread>

namespace runledger::test {

namespace {

constexpr uid_t nobody = 65534;
const stream_id a_session{session_name(1)};

/// A ledger in a folder of its own, and another folder for temporary files.
class offline_reading : public testing::Test {
protected:
  void SetUp() override { ::setenv("TMPDIR", temporary_.path().c_str(), 1); }
  void TearDown() override { ::unsetenv("TMPDIR"); }

  /// A writer as the server's.
  struct server {
    explicit server(const std::string& folder) {
      auto opened = sqlite_log::open({.folder = folder, .wal_preallocated_bytes = 0});
      if (!opened)
        return;
      log = std::move(*opened);
      auto taken = take_partition(*log, 0, "node", clock, ids);
      epoch = taken ? taken->epoch : 0;
    }
    /// Appends `count` events, one a group, to the session's stream.
    bool write(std::size_t count, std::size_t padding = 10) {
      auto head = log->head(a_session);
      stream_maker maker{a_session.value, epoch};
      if (head && *head)
        maker.head() = **head;
      for (std::size_t i = 0; i < count; ++i)
        if (append_one(*log, {maker.next('"' + std::string(padding, 'x') + '"')}).outcome
            != append_outcome::accepted)
          return false;
      return true;
    }
    fixed_clock clock;
    counting_ids ids;
    std::unique_ptr<sqlite_log> log;
    std::uint64_t epoch = 0;
  };

  /// Runs in another process that ends at once, as by kill -9: nothing is closed.
  template <class Work>
  void in_killed_process(Work work) {
    auto child = ::fork();
    if (child == 0)
      ::_exit(work() ? 0 : 1);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    ASSERT_EQ(WEXITSTATUS(status), 0);
  }
  void leave_a_killed_server(std::size_t events) {
    in_killed_process([&] {
      auto* never_ended = new server{folder_.path()};
      return never_ended->write(events);
    });
    ASSERT_GT(std::filesystem::file_size(folder_ / "ledger.db-wal"), 0u);
  }

  /// Beside a server that writes; 0, or which expectation failed.
  int read_five_times() const {
    for (int i = 0; i < 5; ++i) {
      auto log = read_only();
      if (!log)
        return 1;
      auto events = (*log)->read_stream(a_session, 1, 1'000'000);
      if (!events || events->size() < 10)
        return 2;
      auto all = (*log)->read_partition(0, 0, 1'000'000);
      if (!all || all->size() != events->size() + 2)
        return 3;
    }
    return temporary_is_empty() ? 0 : 4;
  }

  result<std::unique_ptr<sqlite_log>, std::string> read_only() const {
    return sqlite_log::open({.file = folder_ / "ledger.db", .read_only = true});
  }
  std::size_t length(const event_log& log) const {
    auto events = log.read_stream(a_session, 1, 1'000'000);
    EXPECT_TRUE(events) << (events ? "" : events.error().detail);
    return events ? events->size() : 0;
  }
  sqlite_source::way way() const {
    auto source = sqlite_source::look_at(folder_ / "ledger.db");
    EXPECT_TRUE(source) << (source ? "" : source.error());
    return (*source)->chosen();
  }
  bool temporary_is_empty() const { return std::filesystem::is_empty(temporary_.path()); }

  temp_folder folder_, temporary_;
};

} // namespace

// Goal: after a clean end the file alone is read, and nothing in its folder changes, not even a
// time.
TEST_F(offline_reading, a_closed_ledger_is_left_as_it_is) {
  {
    server s{folder_.path()};
    ASSERT_TRUE(s.write(5));
  }
  const auto before = folder_state(folder_.path());
  EXPECT_EQ(way(), sqlite_source::way::file_alone);
  {
    auto log = read_only();
    ASSERT_TRUE(log) << log.error();
    EXPECT_EQ(length(**log), 5u);
    EXPECT_EQ(read_all(**log).size(), 7u);
  }
  EXPECT_EQ(folder_state(folder_.path()), before);
  EXPECT_TRUE(temporary_is_empty());
}

// Goal: what a killed server left in its write-ahead log is read, although the folder could be
// written: from a copy that is gone afterwards.
TEST_F(offline_reading, a_killed_servers_ledger_is_copied) {
  leave_a_killed_server(5);
  const auto before = folder_state(folder_.path());
  {
    auto log = read_only();
    ASSERT_TRUE(log) << log.error();
    EXPECT_FALSE(temporary_is_empty());
    EXPECT_EQ(length(**log), 5u);
    EXPECT_EQ(read_all(**log).size(), 7u);
  }
  EXPECT_EQ(folder_state(folder_.path()), before);
  EXPECT_TRUE(temporary_is_empty());
  EXPECT_EQ(way(), sqlite_source::way::copied);
  EXPECT_EQ(folder_state(folder_.path()), before);
  EXPECT_TRUE(temporary_is_empty());
}

// Goal: a running server's commits are seen one by one, and its files stay as it left them; the
// shared memory is the lock table of all connections.
TEST_F(offline_reading, a_running_servers_ledger_is_shared) {
  server s{folder_.path()};
  ASSERT_TRUE(s.write(2));
  auto counts = [](const std::string& name) { return !name.ends_with("-shm"); };
  const auto before = folder_state(folder_.path(), counts);
  EXPECT_EQ(way(), sqlite_source::way::shared);
  auto log = read_only();
  ASSERT_TRUE(log) << log.error();
  EXPECT_EQ(length(**log), 2u);
  EXPECT_EQ(folder_state(folder_.path(), counts), before);
  ASSERT_TRUE(s.write(1));
  EXPECT_EQ(length(**log), 3u);
  EXPECT_TRUE(temporary_is_empty());
}

// Goal: a server that starts and writes into the file while it is read alone changes no answer.
TEST_F(offline_reading, a_server_may_start_meanwhile) {
  {
    server s{folder_.path()};
    ASSERT_TRUE(s.write(50, 2000));
  }
  ASSERT_EQ(way(), sqlite_source::way::file_alone);
  auto log = read_only();
  ASSERT_TRUE(log) << log.error();
  EXPECT_EQ(length(**log), 50u);
  {
    server s{folder_.path()};
    ASSERT_TRUE(s.write(50, 2000));
    EXPECT_EQ(length(**log), 50u); // As it was: the file itself was not written.
  }
  EXPECT_EQ(length(**log), 100u); // The end moved everything into the file.
  EXPECT_EQ(read_all(**log).size(), 103u);
}

// Goal: whoever may read but not write, another user than the server's, reads it while it works,
// from copies that are each as of one moment.
TEST_F(offline_reading, another_user_reads_beside_a_busy_server) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become another user";
  // The reader is forked before there are threads, which may hold any lock at a fork.
  int begin[2];
  ASSERT_EQ(::pipe(begin), 0);
  auto child = ::fork();
  if (child == 0) {
    char byte = 0;
    ::close(begin[1]);
    if (::read(begin[0], &byte, 1) != 1 || ::setgid(nobody) != 0 || ::setuid(nobody) != 0)
      ::_exit(9);
    ::_exit(read_five_times());
  }
  server s{folder_.path()};
  ASSERT_TRUE(s.write(10));
  for (const char* name : {"ledger.db", "ledger.db-wal", "ledger.db-shm"})
    ::chmod((folder_ / name).c_str(), 0644);
  ::chmod(folder_.path().c_str(), 0755);
  ::chmod(temporary_.path().c_str(), 0777);
  std::atomic<bool> over{false};
  std::thread load{[&] {
    while (!over && s.write(20, 500)) {
    }
  }};
  EXPECT_EQ(::write(begin[1], "!", 1), 1);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  over = true;
  load.join();
  ::close(begin[0]);
  ::close(begin[1]);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

// Goal: a folder that may only be read, with a write-ahead log that holds events, is no obstacle.
TEST_F(offline_reading, a_read_only_folder_with_a_log) {
  if (::geteuid() != 0)
    GTEST_SKIP() << "needs root, to become another user";
  leave_a_killed_server(3);
  for (const auto& entry : std::filesystem::directory_iterator{folder_.path()})
    ::chmod(entry.path().c_str(), 0444);
  ::chmod(folder_.path().c_str(), 0555);
  ::chmod(temporary_.path().c_str(), 0777);
  const auto before = folder_state(folder_.path());
  in_killed_process([&] {
    if (::setgid(nobody) != 0 || ::setuid(nobody) != 0)
      return false;
    auto log = read_only();
    return log && length(**log) == 3u;
  });
  EXPECT_EQ(folder_state(folder_.path()), before);
  ::chmod(folder_.path().c_str(), 0700);
}

// Goal: the copy is gone also where a signal ends the process.
TEST_F(offline_reading, a_signal_handler_can_remove_the_copy) {
  leave_a_killed_server(1);
  auto copy = private_copy::of(folder_ / "ledger.db");
  ASSERT_TRUE(copy) << copy.error();
  EXPECT_FALSE(temporary_is_empty());
  private_copy::remove_now();
  EXPECT_TRUE(temporary_is_empty());
}

// Goal: no room for a copy is told with the way out.
TEST_F(offline_reading, a_copy_needs_a_place) {
  leave_a_killed_server(1);
  ::setenv("TMPDIR", (temporary_ / "nowhere").c_str(), 1);
  auto log = read_only();
  ASSERT_FALSE(log);
  EXPECT_NE(log.error().find("TMPDIR"), std::string::npos) << log.error();
}

// Goal: what is no ledger is told in words, and not made one.
TEST_F(offline_reading, refuses_what_is_no_ledger) {
  const auto before = folder_state(folder_.path());
  EXPECT_FALSE(read_only());
  EXPECT_FALSE(sqlite_log::open({.file = folder_.path(), .read_only = true}));
  EXPECT_EQ(folder_state(folder_.path()), before);
  FILE* file = std::fopen((folder_ / "ledger.db").c_str(), "w");
  std::fputs("this is no database, but it is long enough to be taken for one at first sight", file);
  std::fclose(file);
  auto foreign = read_only();
  ASSERT_FALSE(foreign);
  EXPECT_NE(foreign.error().find("is not a runledger ledger"), std::string::npos)
      << foreign.error();
}

} // namespace runledger::test
