// Goal: what an auditor does with the real binary, against ledgers of the real server: tree heads
// come, survive kills, and tell a ledger that was changed from one that was not.

#include "events/log/sqlite_log.hpp"
#include "events/log/sqlite_rows.hpp"
#include "events/log/tree_head_files.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/rows_log.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <set>

namespace runledger::test {

namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class audit : public ::testing::Test {
protected:
  void serve(const std::string& events, const std::string& interval) {
    server.options().flags = {"--audit.tree-head-events", events, "--audit.tree-head-interval",
                              interval};
    ASSERT_TRUE(server.start()) << server.why();
  }
  /// Each becomes two events.
  void make_agents(int count) {
    http_client client{server.port(), server.admin_key()};
    for (; count > 0; --count) {
      const auto made =
          client.post("/api/v1/agents", fmt::format(R"({{"name":"agent {}"}})", ++agents));
      ASSERT_EQ(made.status, 201) << made.body;
    }
  }
  /// A short ledger under heads, whose server has ended.
  void make_ledger() {
    serve("10", "50ms");
    make_agents(12);
    ASSERT_TRUE(all_are_signed());
    ASSERT_TRUE(server.stop());
  }

  static spoken run(const std::string& words) {
    return shell(fmt::format("'{}' {}", RUNLEDGER_BINARY, words));
  }
  spoken verify(const std::string& words = {}) const {
    return run(fmt::format("audit verify --data '{}' {}", data, words));
  }

  /// All lines of the day files.
  std::vector<signed_tree_head> lines() const {
    std::vector<signed_tree_head> out;
    for (const auto& name : tree_head_file_names(data + "/tree-heads")) {
      std::ifstream file{data + "/tree-heads/" + name};
      for (std::string line; std::getline(file, line);)
        if (auto head = head_from_line(line))
          out.push_back(std::move(*head));
    }
    return out;
  }
  /// What stands in the ledger, also while the server writes it.
  rows_log ledger() const {
    return rows_log{**sqlite_log::open({.folder = data, .read_only = true})};
  }
  static std::uint64_t leaves(const rows_log& ledger) {
    std::uint64_t out = 0;
    for (const auto& r : ledger.rows)
      out += kind_of(r.event.stream) != stream_kind::partition;
    return out;
  }
  bool all_are_signed() const {
    return eventually([this] {
      const auto heads = lines();
      return !heads.empty() && heads.back().tree_size == leaves(ledger());
    });
  }
  void sql(const std::string& text) const {
    const auto done = shell(fmt::format("sqlite3 '{}/ledger.db' \"{}\"", data, text));
    ASSERT_EQ(done.exit_code, 0) << done.out;
  }

  temp_folder folder;
  const std::string data = folder / "data";
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
  int agents = 0;
};

} // namespace

// Goal: a head comes after so many events, without waiting for its time.
TEST_F(audit, heads_come_after_events) {
  serve("10", "24h");
  make_agents(20);
  ASSERT_TRUE(eventually([&] { return lines().size() >= 3; }));
  for (const auto& head : lines())
    EXPECT_GE(head.tree_size, 10u);
  EXPECT_EQ(verify().exit_code, 0) << "beside the server that writes it";
}

// Goal: a head comes after its time over whatever there is, and none without anything new.
TEST_F(audit, heads_come_after_their_time) {
  serve("1000000", "100ms");
  ASSERT_TRUE(all_are_signed());
  make_agents(1);
  ASSERT_TRUE(all_are_signed());
  std::set<std::uint64_t> sizes;
  for (const auto& head : lines())
    EXPECT_TRUE(sizes.insert(head.tree_size).second) << "two heads over " << head.tree_size;
}

// Goal: kill -9 at any time loses no tree: the next start goes on with it, and writes the line
// that was owed.
TEST_F(audit, heads_survive_kills) {
  serve("7", "24h");
  for (int i = 0; i < 4; ++i) {
    make_agents(5 + i);
    server.kill();
    if (i == 2)
      server.options().environment = {{"RUNLEDGER_FAIL_POINT", "before_tree_head_line"}};
    server.launch();
    if (i == 2) { // The claim's head comes with the first group.
      if (server.await_ready()) {
        http_client client{server.port(), server.admin_key()};
        for (int n = 0; n < 20 && server.running(); ++n)
          client.post("/api/v1/agents", fmt::format(R"({{"name":"lost {}"}})", n));
      }
      const auto end = server.await_end(std::chrono::seconds{20});
      ASSERT_TRUE(end && end->signal == SIGKILL) << server.why();
      server.options().environment.clear();
      server.launch();
    }
    ASSERT_TRUE(server.await_ready()) << server.why();
  }
  ASSERT_TRUE(server.stop());
  std::vector<signed_tree_head> held;
  std::string id;
  for (const auto& r : ledger().rows) {
    if (const auto opened = read_opened(r.event.data))
      id = opened->ledger;
    if (auto head = signed_head_of(r.event, id))
      held.push_back(std::move(*head));
  }
  EXPECT_GT(held.size(), 4u);
  EXPECT_EQ(lines(), held);
  const auto checked = verify();
  EXPECT_EQ(checked.exit_code, 0) << checked.out;
}

// Goal: the node's key is nobody else's to read, is what signs, and reads with openssl.
TEST_F(audit, keys_are_pem) {
  make_ledger();
  struct stat about {};
  ASSERT_EQ(::stat((data + "/node.key").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
  const auto pem = folder / "node.pem";
  ASSERT_EQ(shell(fmt::format("'{}' audit keys --data '{}' > '{}'", RUNLEDGER_BINARY, data, pem))
                .exit_code,
            0);
  const auto read = shell(fmt::format("openssl pkey -pubin -in '{}' -noout -text", pem));
  EXPECT_EQ(read.exit_code, 0) << read.out;
  EXPECT_THAT(read.out, HasSubstr("ED25519"));
  const auto fingerprint = shell(
      fmt::format("openssl pkey -pubin -in '{}' -outform DER | sha256sum | cut -d' ' -f1", pem));
  EXPECT_THAT(read_whole_file(pem), HasSubstr(fingerprint.out.substr(0, 64)));
  EXPECT_EQ(to_hex(lines().back().key) + '\n', fingerprint.out);
  EXPECT_EQ(shell(fmt::format("openssl pkey -in '{}/node.key' -pubout | tail -3", data)).out,
            ed25519::public_keys_from_pem(read_whole_file(pem))->front().pem());
  EXPECT_EQ(verify("--public-key " + pem).exit_code, 0);
}

// Goal: a line checks with openssl alone, as docs/audit.md shows it.
TEST_F(audit, a_line_checks_without_our_software) {
  make_ledger();
  const auto page = read_whole_file(RUNLEDGER_SOURCE_DIR "/docs/audit.md");
  const auto begin = page.find("jq -r '\"runledger-tree-head-1\"");
  ASSERT_NE(begin, std::string::npos);
  const auto script = page.substr(begin, page.find("```", begin) - begin);
  std::ofstream{folder / "head.json"} << to_line(lines().back());
  std::ofstream{folder / "check.sh"} << "set -e\ncd '" << folder.path() << "'\n" << script;
  ASSERT_EQ(run(fmt::format("audit keys --data '{}' > '{}'", data, folder / "node.pem")).exit_code,
            0);
  const auto checked = shell("sh '" + (folder / "check.sh") + "'");
  EXPECT_EQ(checked.exit_code, 0) << checked.out;
  EXPECT_THAT(checked.out, HasSubstr("Signature Verified Successfully"));
  auto changed = lines().back();
  ++changed.tree_size;
  std::ofstream{folder / "head.json"} << to_line(changed);
  EXPECT_NE(shell("sh '" + (folder / "check.sh") + "'").exit_code, 0);
}

// Goal: a sound ledger is none that was tampered with, and says what it rests on.
TEST_F(audit, a_sound_ledger_is_sound) {
  make_ledger();
  const auto said = verify("--blobs");
  EXPECT_EQ(said.exit_code, 0) << said.out;
  EXPECT_THAT(said.out, AllOf(HasSubstr("OK: "), HasSubstr("tree heads")));
  const auto json = verify("--json");
  EXPECT_EQ(json.exit_code, 0) << json.out;
  EXPECT_EQ(json_at(json.out, "ok"), "true");
  EXPECT_EQ(json_at(json.out, "events"), std::to_string(ledger().rows.size()));
  EXPECT_EQ(json_at(json.out, "unsigned_events"), "0");
  EXPECT_EQ(json_at(json.out, "kept_heads_matched"), json_at(json.out, "tree_heads"));
  EXPECT_EQ(run("audit verify --ledger 'sqlite:" + data + "/ledger.db'").exit_code, 0);
}

/// The place of an event that speaks of an agent: heads may stand anywhere between.
std::size_t place_of_an_agent(const test::rows_log& ledger) {
  for (std::size_t i = 0; i < ledger.rows.size(); ++i)
    if (ledger.rows[i].event.data.find("agent") != std::string::npos)
      return i;
  ADD_FAILURE() << "no event speaks of an agent";
  return 0;
}

// Goal: a changed file is exit 1 with the first bad place, whatever was changed in it, also where
// the server itself would not start on it any more.
TEST_F(audit, a_changed_file_is_told) {
  make_ledger();
  const auto whole = folder / "whole.db";
  fs::copy(data + "/ledger.db", whole);
  const auto rows = ledger();
  const auto place = place_of_an_agent(rows);
  const auto victim = rows.rows[place].event;
  const std::pair<const char*, std::string> changes[] = {
      {"data", fmt::format("UPDATE events SET data = replace(data, 'agent', 'tnega')"
                           " WHERE offset = {}",
                           place)},
      {"principal", "UPDATE events SET principal = 'key_other' WHERE offset = 9"},
      {"type of a value", "UPDATE events SET eventhash = x'00' WHERE offset = 9"},
      {"removal", "DELETE FROM events WHERE offset = 9"},
      {"swap", "UPDATE events SET offset = -1 WHERE offset = 9;"
               "UPDATE events SET offset = 9 WHERE offset = 11;"
               "UPDATE events SET offset = 11 WHERE offset = -1"},
      {"before the beginning", "UPDATE events SET offset = -7 WHERE offset = 9"},
      {"claim", "UPDATE events SET data = replace(data, 'node-1', 'node-2') WHERE offset = 1"},
      {"the founding event", "DELETE FROM events WHERE offset = 0"},
      {"index", "INSERT INTO unfinished VALUES ('sess_nobody', NULL)"},
      {"cut off", "DELETE FROM events WHERE offset > 12"},
      {"all", "DELETE FROM events"},
  };
  for (const auto& [name, change] : changes) {
    sql(change);
    const auto said = verify();
    EXPECT_EQ(said.exit_code, 1) << name << ": " << said.out;
    EXPECT_THAT(said.out, HasSubstr("The first bad place: ")) << name;
    if (std::string_view{name} == "data") {
      EXPECT_THAT(said.out, HasSubstr(fmt::format("first bad place: stream {}, seq {}, offset {}",
                                                  victim.stream.value, victim.seq, place)));
      const auto json = verify("--json");
      EXPECT_EQ(json.exit_code, 1);
      EXPECT_EQ(json_at(json.out, "findings.0.stream"), victim.stream.value);
      EXPECT_EQ(json_at(json.out, "findings.0.offset"), std::to_string(place));
    }
    fs::copy(whole, data + "/ledger.db", fs::copy_options::overwrite_existing);
  }
  EXPECT_EQ(verify().exit_code, 0);
}

// Goal: whoever holds the node's key can write history anew, but not past a head that was kept.
TEST_F(audit, a_kept_head_finds_history_written_with_the_stolen_key) {
  server.expect_other_views("the ledger is written to behind the server's back");
  make_ledger();
  const auto kept = folder / "kept.jsonl";
  std::ofstream{kept} << to_line(lines().back()) << '\n';
  const auto pem = folder / "node.pem";
  ASSERT_EQ(run(fmt::format("audit keys --data '{}' > '{}'", data, pem)).exit_code, 0);
  const auto all = fmt::format("--public-key '{}' --against '{}'", pem, kept);
  EXPECT_EQ(verify(all).exit_code, 0);

  auto rows = ledger();
  auto& victim = rows.rows[place_of_an_agent(rows)];
  const auto at = victim.event.data.find("agent");
  ASSERT_NE(at, std::string::npos) << victim.event.data;
  victim.event.data[at] = 'A';
  rows.rehash(victim.event.stream);
  rows.sign_anew(*ed25519::private_key::from_pem(read_whole_file(data + "/node.key")));
  {
    auto db = *sqlite::connection::open(data + "/ledger.db", sqlite::open_mode::read_write);
    ASSERT_TRUE(db.exec("DELETE FROM events"));
    auto insert = *db.prepare(sqlite::insert_event_sql());
    for (const auto& r : rows.rows) {
      sqlite::bind_event(insert, r);
      ASSERT_EQ(insert.step(), sqlite::step_result::done);
      insert.reset();
    }
  }
  fs::remove_all(data + "/tree-heads");
  EXPECT_EQ(verify("--public-key " + pem).exit_code, 0) << "so the forgery is perfect";
  const auto said = verify(all);
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out, HasSubstr(kept + ", line 1"));
}

// Goal: what cannot be checked is exit 2 with a reason, and nothing is written.
TEST_F(audit, a_wrong_call_is_told) {
  server.expect_other_views("the ledger is written to behind the server's back");
  make_ledger();
  const auto before = read_whole_file(data + "/ledger.db");
  std::ofstream{folder / "no.pem"} << "no key";
  std::ofstream{folder / "no.jsonl"} << to_line(lines().back()) << "\n{\"half\":";
  std::ofstream{folder / "empty.jsonl"} << "\n";
  fs::create_directory(folder / "empty");
  const std::pair<std::string, std::string> wrong[] = {
      {"audit verify --data '" + (folder / "absent") + "'", "absent"},
      {"audit verify --data '" + (folder / "empty") + "'", "ledger"},
      {"audit verify --ledger 'sqlite:" + (folder / "absent.db") + "'", "absent.db"},
      {"audit verify --ledger carrier-pigeon:x", "carrier-pigeon"},
      {"audit verify --data '" + data + "' --public-key '" + (folder / "no.pem") + "'", "no.pem"},
      {"audit verify --data '" + data + "' --public-key '" + (folder / "absent") + "'", "absent"},
      {"audit verify --data '" + data + "' --against '" + (folder / "no.jsonl") + "'", "line 2"},
      {"audit verify --data '" + data + "' --against '" + (folder / "empty.jsonl") + "'",
       "no tree head"},
      {"audit verify --data '" + data + "' --sideways", "sideways"},
      {"audit keys --data '" + (folder / "absent") + "'", "absent"},
      {"audit", "subcommand"},
  };
  for (const auto& [words, reason] : wrong) {
    const auto said = run(words);
    EXPECT_EQ(said.exit_code, 2) << words << ": " << said.out;
    EXPECT_THAT(said.out, HasSubstr(reason)) << words;
  }
  EXPECT_EQ(read_whole_file(data + "/ledger.db"), before);
  sql("PRAGMA user_version = 99");
  const auto newer = verify();
  EXPECT_EQ(newer.exit_code, 2) << newer.out;
  EXPECT_THAT(newer.out, HasSubstr("newer version"));
}

// Goal: a node's key that cannot be read ends the start; it is not replaced behind the auditors'
// backs.
TEST_F(audit, a_damaged_key_is_not_replaced) {
  make_ledger();
  std::ofstream{data + "/node.key"} << "no key";
  server.launch();
  const auto end = server.await_end(std::chrono::seconds{20});
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, 2);
  EXPECT_THAT(server.printed_now(), HasSubstr("node.key"));
  EXPECT_EQ(read_whole_file(data + "/node.key"), "no key");
  fs::remove(data + "/node.key");
  ASSERT_TRUE(server.start()) << server.why();
  make_agents(8);
  ASSERT_TRUE(all_are_signed());
  EXPECT_EQ(verify().exit_code, 0);
  EXPECT_EQ(json_elements(run("audit keys --json --data '" + data + "'").out).size(), 2u);
}

} // namespace runledger::test
