// Goal: the verbs that answer from a ledger have no effects: they run to their end, with the answer
// that they give otherwise, where a socket, another program or a change of any file would kill them
// (tests/support/cage.hpp says by which means). Every verb of `replay` and `audit` is in the list.

#include "cli/command.hpp"
#include "tests/support/cage.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/harness_probe.hpp"
#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <CLI/CLI.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <iterator>
#include <set>
#include <sstream>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

/// A new verb: a line here.
const std::vector<std::string> verbs_without_effects{
    "replay show {session}",
    "replay show {run} --json",
    "replay at {run} 3",
    "replay at {session} offset:100 --json",
    "replay at ws/default 2100-01-01T00:00:00Z",
    "replay diff {run} 1 5",
    "replay diff ws/default offset:1 offset:100 --json",
    "replay what-if --max-cost-usd 0.00001",
    "replay what-if --budget 0 --workspace default --json",
    "replay what-if --retry 1 --session {session}",
    "replay what-if --retry 9 --run {run}",
    "audit verify",
    "audit verify --json",
    "audit keys",
    "audit who {run}",
    "audit who {key} --json",
};
/// Verbs of the two nouns that have effects by purpose, as their help says. Those that stay on this
/// machine are caged with the one folder that they may write to.
const std::set<std::string> verbs_with_effects{"audit export", "replay fork", "replay rebuild"};

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream in{line};
  return {std::istream_iterator<std::string>{in}, std::istream_iterator<std::string>{}};
}

class no_effects : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(server.start()) << server.why();
    const auto create = fmt::format("python3 '{0}/examples/agents/make_recipe.py' "
                                    "'{0}/examples/agents/wordcount' | env RUNLEDGER_DATA='{1}' "
                                    "'{2}' agents create --from - --server http://127.0.0.1:{3}",
                                    RUNLEDGER_SOURCE_DIR, data, RUNLEDGER_BINARY, server.port());
    ASSERT_EQ(std::system((create + " >/dev/null").c_str()), 0);
    http_client api{server.port(), server.admin_key()};
    const auto made = api.ask("POST", "/api/v1/agents/wordcount/runs", R"({"prompt":"one two"})",
                              {{"Prefer", "wait=30"}});
    ASSERT_EQ(made["status"], "succeeded") << made.body;
    run = made["id"];
    session = made["session_id"];
    key = api.get("/api/v1/keys")["0.id"];
    ASSERT_FALSE(key.empty());
  }

  caged_end say(const cage& rules, const std::string& line) const {
    const auto with_names = fmt::format(fmt::runtime(line), fmt::arg("run", run),
                                        fmt::arg("session", session), fmt::arg("key", key));
    auto words = words_of(with_names);
    words.insert(words.begin(), RUNLEDGER_BINARY);
    return run_in_cage(rules, words,
                       {"RUNLEDGER_DATA=" + data, "TMPDIR=" + temporary.path(), "TERM=dumb"});
  }

  temp_folder folder, temporary;
  std::string data = folder / "data";
  server_process server{{RUNLEDGER_BINARY, data, {}, {}}};
  std::string run, session, key;
};

bool is_answered(const caged_end& end) {
  return end.signal == 0 && end.exit_code == 0 && !end.out.empty();
}

} // namespace

// Goal: of a ledger whose server has ended, nothing is needed but to read files and to print.
TEST_F(no_effects, of_any_verb_on_a_stopped_ledger) {
  ASSERT_TRUE(server.stop());
  const auto before = folder_state(data);
  for (const auto& verb : verbs_without_effects) {
    const auto end = say({}, verb);
    EXPECT_EQ(end.signal, 0) << verb << ": " << end.error;
    EXPECT_TRUE(is_answered(end)) << verb << ": " << end.exit_code << ' ' << end.error;
  }
  EXPECT_EQ(folder_state(data), before);
  EXPECT_TRUE(std::filesystem::is_empty(temporary.path()));
}

// Goal: what a killed server left is read from a private copy, the only thing that is written; the
// answers are those of the stopped ledger.
TEST_F(no_effects, but_a_private_copy_of_a_killed_servers_ledger) {
  if (!has_landlock())
    GTEST_SKIP() << "this kernel has no Landlock, without which writes cannot be told apart";
  server.kill();
  ASSERT_GT(std::filesystem::file_size(data + "/ledger.db-wal"), 0u);
  const auto before = folder_state(data);
  for (const auto& verb : verbs_without_effects) {
    const auto end = say({temporary.path()}, verb);
    EXPECT_EQ(end.signal, 0) << verb << ": " << end.error;
    EXPECT_TRUE(is_answered(end)) << verb << ": " << end.exit_code << ' ' << end.error;
    EXPECT_TRUE(std::filesystem::is_empty(temporary.path())) << verb;
  }
  EXPECT_EQ(folder_state(data), before);
  const auto without = say({}, "replay show {session}");
  EXPECT_EQ(without.signal, SIGSYS) << "the copy is not told apart from nothing";
}

// Goal: an export writes its file and nothing else; what it wrote is verified without any effect.
TEST_F(no_effects, but_the_file_of_an_export) {
  if (!has_landlock())
    GTEST_SKIP() << "this kernel has no Landlock, without which writes cannot be told apart";
  ASSERT_TRUE(server.stop());
  const auto before = folder_state(data);
  const auto key_file = folder / "public.pem";
  write_text(key_file, say({}, "audit keys").out);
  for (const std::string of : {"--run {run}", "--session {session}", "--workspace default"}) {
    temp_folder here;
    const auto out = " --out " + here / "bundle";
    const auto made = say({here.path()}, "audit export " + of + out);
    EXPECT_TRUE(is_answered(made)) << of << ": " << made.signal << ' ' << made.error;
    EXPECT_TRUE(std::filesystem::exists(here / "bundle")) << of;
    const auto table = say({here.path()}, "audit export --format runs-csv --out " + here / "table");
    EXPECT_TRUE(is_answered(table)) << of << ": " << table.signal << ' ' << table.error;
    for (const auto& more : {std::string{}, std::string{" --json"}, " --public-key " + key_file}) {
      const auto end = say({}, "audit verify --bundle " + here / "bundle" + more);
      EXPECT_EQ(end.signal, 0) << of << more << ": " << end.error;
      EXPECT_FALSE(end.out.empty()) << of << more << ": " << end.error;
    }
  }
  EXPECT_EQ(folder_state(data), before);
}

// Goal: a rebuild writes the views and nothing else, and a comparison leaves nothing behind.
TEST_F(no_effects, but_the_views_of_a_rebuild) {
  if (!has_landlock())
    GTEST_SKIP() << "this kernel has no Landlock, without which writes cannot be told apart";
  ASSERT_TRUE(server.stop());
  const auto state = [&] {
    auto all = folder_state(data, [](const std::string& name) {
      return !name.starts_with("views.db") && name != "lock"; // The lock holds its owner's number.
    });
    all.erase("."); // Its time changes with the names in it.
    return all;
  };
  const auto before = state();
  for (const std::string verb :
       {"replay rebuild --check", "replay rebuild", "replay rebuild --view runs"}) {
    const auto end = say({data}, verb);
    EXPECT_TRUE(is_answered(end)) << verb << ": " << end.signal << ' ' << end.error;
    EXPECT_EQ(state(), before) << verb;
  }
}

// Goal: no verb of the two nouns is forgotten here.
TEST(no_effects_list, is_whole) {
  CLI::App app;
  cli::command chosen;
  cli::add_commands(app, chosen);
  for (const std::string noun : {"replay", "audit"})
    for (const auto* verb :
         app.get_subcommand(noun)->get_subcommands([](const CLI::App*) { return true; })) {
      if (verb->get_name().empty())
        continue; // A group of options.
      const auto line = noun + ' ' + verb->get_name();
      const auto listed = std::ranges::any_of(verbs_without_effects, [&](const auto& each) {
        return each == line || each.starts_with(line + ' ');
      });
      EXPECT_NE(listed, verbs_with_effects.contains(line)) << line << " belongs into one list";
    }
}

// Goal: the cage kills: a verb that opens a socket, a command that writes, and small programs that
// do one forbidden thing each.
TEST_F(no_effects, are_what_the_cage_kills) {
  const auto temporary_file = temporary / "file", other = folder / "other";
  for (const cage& rules : {cage{}, cage{temporary.path()}}) {
    if (!rules.writable.empty() && !has_landlock())
      continue;
    EXPECT_EQ(say(rules, "replay fork {run} --at load").signal, SIGSYS);
    EXPECT_EQ(say(rules, "runs list --server http://127.0.0.1:1").signal, SIGSYS);
    const auto does = [&](const std::string& what) {
      const auto code = "import os, socket\n" + what + "\nprint('done')";
      return run_in_cage(rules, {"/usr/bin/python3", "-I", "-S", "-B", "-c", code}, {});
    };
    EXPECT_THAT(does("open('/etc/passwd').read()").out, HasSubstr("done"));
    for (const std::string forbidden :
         {"socket.socket(socket.AF_INET)", "socket.socket(socket.AF_UNIX)", "socket.socketpair()",
          "os.execv('/bin/true', ['true'])", "os.fork()", "os.posix_spawn('/bin/true', ['t'], {})",
          "os.system('true')", "os.lchown('/tmp', 0, 0)", "os.utime('/tmp')",
          "os.setxattr('/tmp', 'user.x', b'')"}) {
      const auto end = does(forbidden);
      EXPECT_EQ(end.signal, SIGSYS) << forbidden << ": " << end.error;
      EXPECT_THAT(end.out, IsEmpty()) << forbidden;
    }
    for (const auto& change :
         {fmt::format("open('{}', 'w')", other),
          fmt::format("open('{}', 'r+')", data + "/node.key"),
          fmt::format("os.unlink('{}')", data + "/node.key"), fmt::format("os.mkdir('{}')", other),
          fmt::format("os.rename('{0}/node.key', '{0}/x')", data),
          fmt::format("os.link('{}/node.key', '{}')", data, other),
          fmt::format("os.symlink('/', '{}')", other), fmt::format("os.mkfifo('{}')", other)}) {
      const auto end = does(change); // Killed, or told by Landlock that it may not.
      EXPECT_EQ(end.signal, rules.writable.empty() ? SIGSYS : 0) << change << ": " << end.error;
      EXPECT_NE(end.exit_code, 0) << change;
      EXPECT_THAT(end.out, Not(HasSubstr("done"))) << change;
    }
    const auto rights = does(fmt::format("os.chmod('{}', 0o777)", data + "/node.key"));
    EXPECT_EQ(rights.signal, rules.writable.empty() ? SIGSYS : 0) << rights.error;
    const auto own = does(fmt::format("open('{}', 'w').write('x')", temporary_file));
    EXPECT_EQ(own.signal, rules.writable.empty() ? SIGSYS : 0) << own.error;
    EXPECT_EQ(std::filesystem::exists(temporary_file), !rules.writable.empty());
  }
  EXPECT_FALSE(std::filesystem::exists(other));
  const auto kept = std::filesystem::status(data + "/node.key").permissions();
  EXPECT_EQ(kept & std::filesystem::perms::all, std::filesystem::perms{0600});
}

} // namespace runledger::test
