// Goal: `ledger copy` of the real binary on ledgers of the real server: the copy is served, goes on
// with what was unfinished and is verified; the source is served no more; killed at any of its
// writes it goes on; what must not be copied is left as it is.

#include "events/log/sqlite_log.hpp"
#include "events/log/tree_head_files.hpp"
#include "tests/support/event_hashes.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>

namespace runledger::test {

namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

class copied : public ::testing::Test {
protected:
  spoken run(const std::string& words, const std::string& before = {}) const {
    return shell(
        fmt::format("{} env TMPDIR='{}' '{}' {}", before, scratch.path(), RUNLEDGER_BINARY, words));
  }
  spoken copy(const std::string& from, const std::string& to, const std::string& words = {},
              const std::string& before = {}) const {
    return run(fmt::format("ledger copy --from 'sqlite:{}/ledger.db' --to 'sqlite:{}/ledger.db' {}",
                           from, to, words),
               before);
  }
  /// A server that has made some agents and ended.
  void make_agents(int count) {
    ASSERT_TRUE(server.start()) << server.why();
    http_client client{server.port(), server.admin_key()};
    for (int i = 0; i < count; ++i)
      ASSERT_EQ(client.post("/api/v1/agents", fmt::format(R"({{"name":"agent {}"}})", i)).status,
                201);
    ASSERT_TRUE(server.stop());
  }

  temp_folder folder, scratch;
  const std::string data = folder / "data", target = folder / "target";
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
};

} // namespace

// Goal: a server on the copy goes on with a run whose server was killed, finds earlier requests by
// their idempotency keys, and shows what the source's showed; auditors and views are content, and
// the source's server ends with the name of the copy.
TEST_F(copied, goes_on_where_the_source_was) {
  ASSERT_TRUE(server.start()) << server.why();
  const auto key = server.admin_key();
  const auto recipe = shell_apart("/usr/bin/python3 -B '" RUNLEDGER_SOURCE_DIR
                                  "/examples/agents/make_recipe.py' '" RUNLEDGER_SOURCE_DIR
                                  "/examples/agents/wordcount'")
                          .out;
  http_client client{server.port(), key};
  ASSERT_EQ(client.post("/api/v1/agents", recipe).status, 201);
  const auto body = R"({"initial_state":{"file":"ballad.txt","pause_ms":200}})";
  const header_list keyed{{"Idempotency-Key", "before-the-move"}};
  const auto begun = client.ask("POST", "/api/v1/agents/wordcount/runs", body, keyed);
  ASSERT_EQ(begun.status, 201) << begun.body;
  const auto run_path = "/api/v1/runs/" + begun["id"];
  ASSERT_TRUE(
      eventually([&] { return std::atoi(client.get(run_path)["steps_completed"].c_str()) >= 2; }));
  server.kill();

  const auto said = copy(data, target);
  ASSERT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, AllOf(HasSubstr("no server starts on it any more"), HasSubstr("copied  ")));
  EXPECT_EQ(event_hashes_in(target), event_hashes_in(data));
  const auto verified = run("audit verify --blobs --data '" + target + "'");
  EXPECT_EQ(verified.exit_code, 0) << verified.out;
  EXPECT_THAT(verified.out, HasSubstr("1 of its last tree heads bear them out"));
  EXPECT_EQ(run("audit verify --data '" + data + "'").exit_code, 0);
  const auto again = copy(data, target);
  EXPECT_EQ(again.exit_code, 0);
  EXPECT_THAT(again.out, HasSubstr("is a whole copy"));

  server.launch();
  const auto end = server.await_end(std::chrono::seconds{30});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
  EXPECT_THAT(server.printed_now(), AllOf(HasSubstr("is sealed: it was copied to sqlite:"),
                                          HasSubstr(target + "/ledger.db")));

  server_process next{{RUNLEDGER_BINARY, target, {}, {}}};
  ASSERT_TRUE(next.start()) << next.why();
  client.move_to(next.port());
  EXPECT_EQ(client.ask("POST", "/api/v1/agents/wordcount/runs", body, keyed)["id"], begun["id"]);
  ASSERT_TRUE(eventually([&] { return client.get(run_path)["status"] == "succeeded"; }));
  EXPECT_EQ(copy(data, target).exit_code, 0) << "beside the server that goes on there";
  ASSERT_TRUE(next.stop());
  EXPECT_EQ(run("audit verify --blobs --data '" + target + "'").exit_code, 0);
  const auto checked = run("replay rebuild --check --data '" + target + "'");
  EXPECT_EQ(checked.exit_code, 0) << checked.out;
  EXPECT_EQ(run("replay show " + begun["id"] + " --data '" + target + "'").exit_code, 0);

  // And once more: what was copied and what came after it.
  const auto third = folder / "third";
  ASSERT_EQ(copy(target, third).exit_code, 0);
  EXPECT_EQ(event_hashes_in(third), event_hashes_in(target));
  EXPECT_EQ(run("audit verify --data '" + third + "'").exit_code, 0);
}

// Goal: killed at any of its writes, or just before or behind it, the same command goes on and ends
// with the same events.
TEST_F(copied, goes_on_wherever_it_was_killed) {
  make_agents(8);
  const auto expected = event_hashes_in(data);
  fs::remove_all(data + "/blobs"); // 256 folders each time; there is nothing in them.
  const auto words = "--batch 4 --to-blobs '" + (folder / "blobs") + "'";
  int kills = 0;
  for (;; ++kills) {
    SCOPED_TRACE(kills);
    const auto from = folder / ("from-" + std::to_string(kills));
    const auto to = folder / ("to-" + std::to_string(kills));
    fs::copy(data, from, fs::copy_options::recursive);
    const auto killed =
        copy(from, to, words, fmt::format("env RUNLEDGER_FAIL_POINT=copy_step:{}", kills + 1));
    if (killed.exit_code == 0)
      break;
    ASSERT_TRUE(killed.exit_code == -1 || killed.exit_code == 128 + SIGKILL) << killed.out;
    if (kills == 11) { // In the middle of the events.
      EXPECT_NE(event_hashes_in(to), expected);
      server_process early{{RUNLEDGER_BINARY, to, {}, {}}};
      early.launch();
      EXPECT_EQ(early.await_end(std::chrono::seconds{30}).value_or(process_end{}).code, 2);
      EXPECT_THAT(early.printed_now(), HasSubstr("is not whole"));
    }
    const auto done = copy(from, to, words);
    ASSERT_EQ(done.exit_code, 0) << done.out;
    EXPECT_EQ(event_hashes_in(to), expected);
    if (kills % 4 != 0)
      continue;
    const auto verified = run("audit verify --data '" + to + "'");
    EXPECT_EQ(verified.exit_code, 0) << verified.out;
  }
  EXPECT_GT(kills, 15);
}

// Goal: a source in use, a target that holds something, and names that mean nothing end with exit 2
// and one sentence; nothing is written.
TEST_F(copied, is_refused_without_a_trace) {
  make_agents(3);
  server_process other{{RUNLEDGER_BINARY, target, {}, {}}};
  ASSERT_TRUE(other.start()) << other.why();
  ASSERT_TRUE(other.stop());
  const auto is_truth = [](const std::string& name) { return name == "ledger.db"; };
  const auto before = folder_state(data, is_truth), there = folder_state(target, is_truth);
  auto said = copy(data, target);
  EXPECT_EQ(said.exit_code, 2);
  EXPECT_THAT(said.out, HasSubstr("is not empty: it holds the ledger "));
  EXPECT_EQ(folder_state(target, is_truth), there);
  EXPECT_EQ(folder_state(data, is_truth), before);

  const auto fresh = folder / "fresh";
  ASSERT_TRUE(server.start()) << server.why();
  said = copy(data, fresh);
  EXPECT_EQ(said.exit_code, 2);
  EXPECT_THAT(said.out, HasSubstr("is in use by another server (pid "));
  ASSERT_TRUE(server.stop());
  EXPECT_FALSE(fs::exists(fresh));

  const auto wrong = [&](const std::string& words, const std::string& why) {
    said = run("ledger copy " + words);
    EXPECT_EQ(said.exit_code, 2) << words;
    EXPECT_THAT(said.out, HasSubstr(why));
  };
  wrong("--from sqlite:/nowhere/ledger.db --to sqlite:" + fresh + "/ledger.db", "is not there");
  wrong("--from sqlite:/a/events.db --to kafka:b", "no other file of its data folder");
  wrong("--from disk:/a --to kafka:b", "write sqlite:FILE or kafka:BROKERS[/PREFIX]");
  wrong("--from sqlite:/a/ledger.db --to sqlite:/a/b/../ledger.db", "the same ledger");
  wrong("--from kafka:b:1 --to kafka:b:1/p --kafka-property acks=0", "--kafka-property acks");
}

// Goal: a source that was changed, or cut off behind a tree head that lies beside it, is neither
// sealed nor copied.
TEST_F(copied, takes_nothing_from_a_ledger_that_was_changed) {
  server.options().flags = {"--audit.tree-head-events", "5"};
  make_agents(6);
  ASSERT_TRUE(server.start()) << server.why();
  ASSERT_TRUE(eventually([&] { return !tree_head_file_names(data + "/tree-heads").empty(); }));
  ASSERT_TRUE(server.stop());
  server.expect_other_views("the ledger is damaged");
  const auto fresh = folder / "fresh", whole = folder / "whole.db";
  fs::copy(data + "/ledger.db", whole);
  const std::pair<const char*, const char*> changes[] = {
      {"UPDATE events SET data = data || ' ' WHERE seq = 1 AND type LIKE '%agent.created%'",
       "first bad place: stream "},
      {"DELETE FROM events WHERE offset > 5", "fewer_events"},
  };
  for (const auto& [change, kind] : changes) {
    const auto changed = shell(fmt::format("sqlite3 '{}/ledger.db' \"{}\"", data, change));
    ASSERT_EQ(changed.exit_code, 0) << changed.out;
    const auto said = copy(data, fresh);
    EXPECT_EQ(said.exit_code, 1) << said.out;
    EXPECT_THAT(said.out,
                AllOf(HasSubstr("nothing was sealed and nothing copied"), HasSubstr(kind)));
    EXPECT_FALSE(fs::exists(fresh));
    fs::copy(whole, data + "/ledger.db", fs::copy_options::overwrite_existing);
  }
}

} // namespace runledger::test
