#include "projections/runner.hpp"

#include "projections/compare.hpp"
#include "projections/queries/run_by_id.hpp"
#include "tests/unit/projections/view_fixture.hpp"

#include <sys/stat.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>
#include <set>
#include <thread>

namespace runledger::test {
namespace {

using namespace std::chrono_literals;
constexpr auto deadline = 30s;

/// Something that happens once, on another thread.
class event_to_come {
public:
  void happen() {
    std::lock_guard guard{mutex_};
    happened_ = true;
    wake_.notify_all();
  }
  bool wait() {
    std::unique_lock guard{mutex_};
    return wake_.wait_for(guard, deadline, [this] { return happened_; });
  }

private:
  std::mutex mutex_;
  std::condition_variable wake_;
  bool happened_ = false;
};

/// Of this process.
std::ptrdiff_t thread_count() {
  return std::distance(std::filesystem::directory_iterator{"/proc/self/task"}, {});
}

class runner_test : public ::testing::Test {
protected:
  temp_folder folder;
  std::string path = folder / "views.db";
  memory_log log;
  history facts{log};
  std::unique_ptr<views::view_runner> runner;

  void start(std::chrono::milliseconds pace = 4ms,
             std::function<void(const views::change_set&)> listener = {}) {
    runner.reset();
    views::runner_options options;
    options.path = path;
    options.pace = pace;
    runner = std::make_unique<views::view_runner>(log, options);
    runner->on_change(std::move(listener));
    runner->start();
  }
  void wait_ready() {
    event_to_come ready;
    runner->when_ready([&] { ready.happen(); });
    ASSERT_TRUE(ready.wait());
  }
  void wait_caught_up() {
    event_to_come done;
    runner->when_caught_up([&] { done.happen(); });
    ASSERT_TRUE(done.wait());
  }
  run_id accept_run() {
    auto session = facts.fresh_session();
    auto run = facts.fresh_run(session);
    facts.write_session(session, facts.turn(run));
    return run;
  }
  ino_t inode() const {
    struct stat file {};
    return ::stat(path.c_str(), &file) == 0 ? file.st_ino : 0;
  }
};

// Goal: a read that waits for what is durable sees every write before it, also under a long pace.
TEST_F(runner_test, reads_see_what_was_written) {
  start(10min);
  wait_ready();
  auto reader = views::view_reader::open(path, log, nullptr);
  ASSERT_TRUE(reader);
  for (int i = 0; i < 300; ++i) {
    auto run = accept_run();
    wait_caught_up();
    EXPECT_TRUE(runner->caught_up());
    auto found = views::run_by_id(**reader, facts.workspace, run.value);
    ASSERT_TRUE(found && *found) << i;
  }
}

// Goal: the same while another thread writes all the time.
TEST_F(runner_test, reads_see_what_was_written_under_load) {
  start();
  wait_ready();
  std::atomic<bool> stop{false};
  std::mutex mutex;
  std::string last;
  std::thread writer{[&] {
    while (!stop) {
      if (log.end_offset(0) - runner->position() > 2000) {
        std::this_thread::yield(); // As the product does: writers wait for views that lag.
        continue;
      }
      auto run = accept_run();
      std::lock_guard guard{mutex};
      last = run.value;
    }
  }};
  auto reader = views::view_reader::open(path, log, nullptr);
  ASSERT_TRUE(reader);
  for (int i = 0; i < 200; ++i) {
    std::string run;
    {
      std::lock_guard guard{mutex};
      run = last;
    }
    wait_caught_up();
    if (run.empty())
      continue;
    auto found = views::run_by_id(**reader, workspace_id{"default"}, run);
    EXPECT_TRUE(found && *found) << run;
  }
  stop = true;
  writer.join();
}

// Goal: an append wakes a runner that sleeps; nobody has to ask.
TEST_F(runner_test, append_wakes_it) {
  event_to_come told;
  session_id first; // Written once, before told.
  start(4ms, [&](const views::change_set& changes) {
    if (changes.timelines.empty() || !first.empty())
      return;
    first = changes.timelines.begin()->first;
    told.happen();
  });
  wait_ready();
  wait_caught_up();
  auto session = facts.fresh_session();
  facts.write_session(session, facts.turn(facts.fresh_run(session)));
  ASSERT_TRUE(told.wait());
  EXPECT_EQ(first, session);
  runner->stop();
}

// Goal: the change set names new items, ended runs and keys, before the position shows them.
TEST_F(runner_test, tells_what_changed) {
  std::mutex mutex;
  views::change_set all;
  start(4ms, [&](const views::change_set& changes) {
    std::lock_guard guard{mutex};
    for (const auto& [session, seq] : changes.timelines) {
      EXPECT_GT(seq, all.timelines[session]);
      all.timelines[session] = seq;
    }
    all.ended_runs.insert(all.ended_runs.end(), changes.ended_runs.begin(),
                          changes.ended_runs.end());
    all.keys = all.keys || changes.keys;
  });
  wait_ready();
  auto session = facts.fresh_session();
  auto run = facts.fresh_run(session);
  facts.write_session(session, facts.turn(run));
  facts.write_run(session, run, run::started{});
  facts.write_run(session, run, run::succeeded{});
  wait_caught_up();
  {
    std::lock_guard guard{mutex};
    EXPECT_EQ(all.timelines[session], 3U);
    EXPECT_EQ(all.ended_runs, std::vector<run_id>{run});
    EXPECT_FALSE(all.keys);
  }
  facts.write(stream_of(facts.fresh<key_id_tag>("key_")), key::event{key::created{}});
  wait_caught_up();
  std::lock_guard guard{mutex};
  EXPECT_TRUE(all.keys);
}

// Goal: what was folded is not folded again after a clean end; the mark is there only in between.
TEST_F(runner_test, goes_on_where_it_ended) {
  for (int i = 0; i < 50; ++i)
    accept_run();
  start();
  wait_ready();
  auto first = inode();
  EXPECT_FALSE(std::filesystem::exists(path + ".clean"));
  runner->stop();
  EXPECT_TRUE(std::filesystem::exists(path + ".clean"));
  auto run = accept_run();
  start();
  wait_ready();
  EXPECT_EQ(inode(), first);
  EXPECT_FALSE(std::filesystem::exists(path + ".clean"));
  auto reader = views::view_reader::open(path, log, nullptr);
  ASSERT_TRUE(reader);
  auto found = views::run_by_id(**reader, facts.workspace, run.value);
  EXPECT_TRUE(found && *found);
}

// Goal: a file that cannot be trusted is replaced, and is whole when readers are let in.
TEST_F(runner_test, replaces_a_file_it_cannot_trust) {
  auto run = accept_run();
  std::ofstream{path} << "not a database at all, and longer than a hundred bytes, so that it is "
                         "looked at: it must be thrown away";
  start();
  wait_ready();
  auto reader = views::view_reader::open(path, log, nullptr);
  ASSERT_TRUE(reader);
  auto found = views::run_by_id(**reader, facts.workspace, run.value);
  EXPECT_TRUE(found && *found);
}

// Goal: a folder that cannot be written stops the views, says why, and heals by itself.
TEST_F(runner_test, heals_when_the_folder_is_there) {
  auto missing = folder / "missing";
  path = missing + "/views.db";
  auto run = accept_run();
  start();
  auto until = std::chrono::steady_clock::now() + deadline;
  while (!runner->failure() && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  ASSERT_TRUE(runner->failure());
  EXPECT_FALSE(runner->ready());
  std::filesystem::create_directory(missing);
  wait_ready();
  EXPECT_FALSE(runner->failure());
}

// Goal: records that the fold skips do not keep a reader waiting.
TEST_F(runner_test, skipped_records_are_passed) {
  start();
  wait_ready();
  log.duplicate_next(1);
  accept_run();
  wait_caught_up();
  EXPECT_EQ(runner->position(), log.end_offset(0));
}

// Goal: a rebuild beside mends what is wrong in the file while readers read and writers write; a
// reader that was open before sees every write before its question, all the time.
TEST_F(runner_test, rebuilds_beside_readers_and_writers) {
  for (int i = 0; i < 4000; ++i)
    accept_run();
  start();
  wait_ready();
  {
    auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
    ASSERT_TRUE(db->exec("UPDATE runs SET cost_micro_usd = 7"));
  }
  auto opened = views::view_reader::open(path, log, nullptr, &runner->replaced());
  ASSERT_TRUE(opened);
  auto& reader = **opened;
  const auto first = inode();
  ASSERT_TRUE(runner->rebuild());
  EXPECT_FALSE(runner->rebuild()) << "one at a time";
  int reads = 0;
  for (const auto until = std::chrono::steady_clock::now() + deadline;
       runner->rebuilding().under_way && std::chrono::steady_clock::now() < until; ++reads) {
    const auto run = accept_run();
    wait_caught_up();
    auto found = views::run_by_id(reader, facts.workspace, run.value);
    ASSERT_TRUE(found && *found) << reads;
    EXPECT_EQ(count((*found)->cost), 0);
  }
  EXPECT_FALSE(runner->rebuilding().under_way);
  EXPECT_EQ(runner->rebuilding().failure, "");
  EXPECT_GT(reads, 3);
  EXPECT_NE(inode(), first);
  EXPECT_EQ(runner->replaced().count, 1u);
  const auto run = accept_run();
  wait_caught_up();
  auto found = views::run_by_id(reader, facts.workspace, run.value);
  ASSERT_TRUE(found && *found);
  EXPECT_TRUE(runner->rebuild()) << "and again";
  auto until = std::chrono::steady_clock::now() + deadline;
  while (runner->rebuilding().under_way && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  runner->stop();
  const auto checked = views::check(path, log, {{}, path + ".check", {}});
  ASSERT_TRUE(checked) << checked.error();
  EXPECT_FALSE(checked->found.first) << views::to_text(*checked->found.first);
  EXPECT_EQ(checked->lag, 0);
}

// Goal: what the ledger holds and the runner has not told yet is told after a switch as well: the
// listener hears of it, and whoever waits for it is called.
TEST_F(runner_test, a_switch_passes_nobody_by) {
  for (int i = 0; i < 50; ++i)
    accept_run();
  std::atomic<bool> armed = false;
  event_to_come held, released;
  std::mutex mutex;
  std::set<session_id> told;
  start(4ms, [&](const views::change_set& changes) {
    if (armed.exchange(false)) {
      held.happen();
      released.wait();
    }
    std::lock_guard guard{mutex};
    for (const auto& [session, seq] : changes.timelines)
      told.insert(session);
  });
  wait_ready();
  armed = true;
  accept_run();
  ASSERT_TRUE(held.wait());
  const auto session = facts.fresh_session();
  facts.write_session(session, facts.turn(facts.fresh_run(session)));
  event_to_come caught_up;
  runner->when_caught_up([&] { caught_up.happen(); });
  const auto threads = thread_count();
  ASSERT_TRUE(runner->rebuild());
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (thread_count() != threads && std::chrono::steady_clock::now() < until)
    std::this_thread::yield(); // Until the builder has done what it does alone.
  released.happen();
  EXPECT_TRUE(caught_up.wait());
  runner->stop();
  EXPECT_EQ(runner->replaced().count, 1u);
  EXPECT_TRUE(told.contains(session));
}

// Goal: stopping ends a rebuild at whatever point it is, and leaves no file beside the views, which
// are right.
TEST_F(runner_test, stops_during_a_rebuild) {
  for (int i = 0; i < 500; ++i)
    accept_run();
  for (int i = 0; i < 12; ++i) {
    start();
    wait_ready();
    ASSERT_TRUE(runner->rebuild());
    for (int work = 0; work < i * 10; ++work)
      accept_run();
    runner->stop();
    EXPECT_FALSE(std::filesystem::exists(path + ".new"));
    const auto checked = views::check(path, log, {{}, path + ".check", {}});
    ASSERT_TRUE(checked) << checked.error();
    EXPECT_FALSE(checked->found.first) << i;
  }
}

// Goal: a rebuild that cannot be written is told, and the live views go on.
TEST_F(runner_test, rebuild_in_vain) {
  accept_run();
  start();
  wait_ready();
  std::filesystem::create_directories(path + ".new/in the way");
  ASSERT_TRUE(runner->rebuild());
  auto until = std::chrono::steady_clock::now() + deadline;
  while (runner->rebuilding().under_way && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_NE(runner->rebuilding().failure.find("cannot be written"), std::string::npos)
      << runner->rebuilding().failure;
  EXPECT_EQ(runner->replaced().count, 0u);
  accept_run();
  wait_caught_up();
  std::filesystem::remove_all(path + ".new");
  ASSERT_TRUE(runner->rebuild());
  until = std::chrono::steady_clock::now() + deadline;
  while (runner->rebuilding().under_way && std::chrono::steady_clock::now() < until)
    std::this_thread::yield();
  EXPECT_EQ(runner->rebuilding().failure, "");
  EXPECT_EQ(runner->replaced().count, 1u);
}

// Goal: stopping while readers wait and writers write ends at once and drops the waiters.
TEST_F(runner_test, stops_at_any_time) {
  for (int i = 0; i < 20; ++i) {
    start();
    runner->when_caught_up(0, INT64_MAX, [] { FAIL() << "nothing can have reached that"; });
    accept_run();
    runner->stop();
  }
}

} // namespace
} // namespace runledger::test
