// Goal: what an auditor takes away from the ledger of a real server verifies far from it, by the
// binary and by the script that docs/audit.md prints, and nothing that was changed does.

#include "tests/integration/contract_world.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/shell.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace runledger::contract {

namespace {

namespace fs = std::filesystem;
using test::shell;
using test::spoken;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* script = RUNLEDGER_SOURCE_DIR "/examples/audit/verify_bundle.py";

class audit_export : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(w.start());
    const auto ended = w.finish(R"([["step","a",1],["usage","0.250001",120,30],["step","b",2]])");
    run = ended["id"], session = ended["session_id"];
    ASSERT_EQ(w.finish(R"x([["usage","1.5",1,1],["error","=HYPERLINK(\"x\")"]])x")["status"],
              "failed");
    ASSERT_TRUE(eventually([&] {
      return w.events_of("session.turn_ended") == 2 && number(verified(), "unsigned_events") == 0;
    }));
  }

  spoken verified() const { return say("audit verify --json --data '" + data + "'"); }
  static int number(const spoken& said, const char* name) {
    return std::atoi(json_at(said.out, name).c_str());
  }

  spoken take(const std::string& words, const std::string& name = "bundle.jsonl") const {
    return say(fmt::format("audit export {} --data '{}' --out '{}'", words, data, out / name));
  }
  spoken check(const std::string& words = {}, const std::string& name = "bundle.jsonl") const {
    return say(fmt::format("audit verify --bundle '{}' {}", out / name, words));
  }
  spoken script_check(const std::string& words = {},
                      const std::string& name = "bundle.jsonl") const {
    return shell(fmt::format("python3 -B '{}' '{}' {}", script, out / name, words));
  }
  std::string text(const std::string& name = "bundle.jsonl") const {
    return test::read_whole_file(out / name);
  }
  void put(const std::string& text, const std::string& name = "bundle.jsonl") const {
    std::ofstream{out / name, std::ios::binary} << text;
  }
  std::string newest_head() const {
    const auto folder = data + "/tree-heads/";
    std::string line, last;
    std::ifstream file{folder + fs::directory_iterator{folder} -> path().filename().string()};
    while (std::getline(file, line))
      last = line;
    return last;
  }

  world w{{"--audit.tree-head-interval", "50ms"}};
  test::temp_folder out;
  const std::string data = w.folder / "data";
  std::string run, session;
};

} // namespace

// Goal: a bundle made beside the running server verifies with server and ledger gone, by both, with
// the auditor's key and kept head.
TEST_F(audit_export, verifies_far_from_the_ledger) {
  ASSERT_EQ(say(fmt::format("audit keys --data '{}' > '{}'", data, out / "node.pem")).exit_code, 0);
  put(newest_head() + "\n", "kept.jsonl");
  const auto taken = take(fmt::format("--session {} --against '{}'", session, out / "kept.jsonl"));
  ASSERT_EQ(taken.exit_code, 0) << taken.out;
  EXPECT_THAT(taken.out, HasSubstr(" of them under a signed tree head"));
  ASSERT_TRUE(w.server.stop());
  w.server.end(); // Its views are looked at while they are there.
  fs::rename(data, w.folder / "gone");
  const auto with =
      fmt::format("--public-key '{0}/node.pem' --against '{0}/kept.jsonl'", out.path());
  const auto checked = check(with);
  EXPECT_EQ(checked.exit_code, 0) << checked.out;
  EXPECT_THAT(checked.out,
              AllOf(HasSubstr("OK: this is what the ledger said"), HasSubstr("in 2 streams"),
                    HasSubstr("the bundle is tied to 1 of 1"), HasSubstr("0 behind it")));
  const auto json = check(with + " --json");
  EXPECT_EQ(json_at(json.out, "ok"), "true") << json.out;
  EXPECT_EQ(json_at(json.out, "asked.session"), session);
  EXPECT_EQ(json_at(json.out, "kept_heads_matched"), "1");
  EXPECT_EQ(json_at(json.out, "signed_events"), json_at(json.out, "events"));
  for (const auto& words : {std::string{}, with}) {
    const auto by_script = script_check(words);
    EXPECT_EQ(by_script.exit_code, 0) << by_script.out;
    EXPECT_THAT(by_script.out, HasSubstr("OK"));
  }
}

// Goal: the payload's bytes are in the bundle as they were hashed, and every selection is whole.
TEST_F(audit_export, holds_what_was_asked_for) {
  const std::string all = "--since 1970-01-01T00:00:00Z";
  const std::pair<std::string, std::string> asked[] = {
      {"--run " + run, "in 2 streams"},
      {"--session " + session, "in 2 streams"},
      {"--workspace default", "each from its first event on"},
      {all, "parts of them"},
      {"--workspace default --until 2100-01-01T00:00:00Z", "parts of them"},
  };
  for (const auto& [words, expected] : asked) {
    const auto taken = take(words + " --force");
    ASSERT_EQ(taken.exit_code, 0) << words << ": " << taken.out;
    const auto checked = check();
    EXPECT_EQ(checked.exit_code, 0) << words << ": " << checked.out;
    EXPECT_THAT(checked.out, HasSubstr(expected));
    EXPECT_EQ(script_check().exit_code, 0) << words;
  }
  ASSERT_EQ(take(all + " --force").exit_code, 0);
  const auto ledger = verified();
  EXPECT_EQ(number(check("--json"), "events"),
            number(ledger, "signed_events") + number(ledger, "unsigned_events"));
  struct stat about {};
  ASSERT_EQ(::stat((out / "bundle.jsonl").c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777, 0600u);
}

// Goal: an edit is exit 1 with stream, seq and offset, by both; what cannot be checked is exit 2.
TEST_F(audit_export, a_changed_bundle_is_told) {
  ASSERT_EQ(take("--run " + run).exit_code, 0);
  const auto sound = text();
  auto edited = sound;
  const auto event = edited.find("\"id\":\"" + run + ":2\"");
  ASSERT_NE(event, std::string::npos);
  const auto at = edited.find("\"principal\":\"", event) + 13;
  edited[at] = edited[at] == 'x' ? 'y' : 'x';
  put(edited);
  const auto said = check();
  EXPECT_EQ(said.exit_code, 1) << said.out;
  EXPECT_THAT(said.out,
              HasSubstr(fmt::format("The first bad place: stream {}, seq 2, offset ", run)));
  EXPECT_EQ(json_at(check("--json").out, "findings.0.stream"), run);
  const auto by_script = script_check();
  EXPECT_EQ(by_script.exit_code, 1) << by_script.out;
  EXPECT_THAT(by_script.out, HasSubstr(fmt::format("stream {}, seq 2, offset ", run)));
  EXPECT_THAT(by_script.out, Not(HasSubstr("seq 3"))) << "one change is told once";

  put(sound.substr(0, sound.size() / 2));
  EXPECT_EQ(check().exit_code, 2);
  EXPECT_THAT(check().out, HasSubstr("cut off"));
  EXPECT_EQ(script_check().exit_code, 2);
  auto newer = sound;
  newer.replace(newer.find("\"version\":1"), 11, "\"version\":9");
  put(newer);
  EXPECT_EQ(check().exit_code, 2);
  EXPECT_THAT(check().out, HasSubstr("format 9"));
  EXPECT_EQ(script_check().exit_code, 2);
  EXPECT_THAT(script_check().out, HasSubstr("format 9"));
}

// Goal: with another's key, or a head that the bundle is not tied to, nothing is believed.
TEST_F(audit_export, believes_what_the_auditor_brought) {
  ASSERT_EQ(take("--run " + run).exit_code, 0);
  ASSERT_EQ(shell(fmt::format("openssl genpkey -algorithm ed25519 | openssl pkey -pubout -out '{}'",
                              out / "other.pem"))
                .exit_code,
            0);
  const auto other = fmt::format("--public-key '{}'", out / "other.pem");
  EXPECT_EQ(check(other).exit_code, 1);
  EXPECT_THAT(check(other).out, HasSubstr("head_signature"));
  EXPECT_EQ(script_check(other).exit_code, 1);
  auto head = newest_head();
  head.replace(head.find("\"root\":\"") + 8, 4, "0000");
  put(head + "\n", "kept.jsonl");
  const auto kept = fmt::format("--against '{}'", out / "kept.jsonl");
  EXPECT_EQ(check(kept).exit_code, 1);
  EXPECT_THAT(check(kept).out, HasSubstr("kept.jsonl, line 1"));
  EXPECT_EQ(script_check(kept).exit_code, 1);
  const auto taken = take("--force --run " + run + ' ' + kept);
  EXPECT_EQ(taken.exit_code, 1) << taken.out;
  EXPECT_THAT(taken.out, HasSubstr("kept.jsonl, line 1"));
}

// Goal: what no head covers yet is exported and told; it is believed only by who says so, aloud.
TEST(audit_export_unsigned, is_believed_only_by_who_says_so) {
  world w{{"--audit.tree-head-interval", "1h"}};
  ASSERT_TRUE(w.start());
  const auto run = w.finish(R"([["step","a",1]])")["id"];
  const auto file = w.folder / "bundle.jsonl";
  const auto taken = say(
      fmt::format("audit export --run {} --data '{}' --out '{}'", run, w.folder / "data", file));
  ASSERT_EQ(taken.exit_code, 0) << taken.out;
  EXPECT_THAT(taken.out, AllOf(HasSubstr("under no tree head yet"), HasSubstr("--allow-unsigned")));
  const auto ours = fmt::format("audit verify --bundle '{}'", file);
  const auto theirs = fmt::format("python3 -B '{}' '{}'", script, file);
  for (const auto& said : {say(ours), shell(theirs)}) {
    EXPECT_EQ(said.exit_code, 1) << said.out;
    EXPECT_THAT(said.out, HasSubstr("events stand under no signed head"));
  }
  EXPECT_EQ(json_at(say(ours + " --json").out, "ok"), "false");
  for (const auto& said : {say(ours + " --allow-unsigned"), shell(theirs + " --allow-unsigned")}) {
    EXPECT_EQ(said.exit_code, 0) << said.out;
    EXPECT_THAT(said.out, HasSubstr("under no signed head"));
  }
}

// Goal: a file of kept heads without a head vouches for nothing; how many were found is told.
TEST_F(audit_export, kept_heads_are_counted) {
  put(newest_head() + "\n", "kept.jsonl");
  put("\n \n", "blank.jsonl");
  ASSERT_EQ(take(fmt::format("--run {} --against '{}'", run, out / "kept.jsonl")).exit_code, 0);
  const auto blank = fmt::format("--against '{}'", out / "blank.jsonl");
  EXPECT_EQ(check(blank).exit_code, 2);
  const auto refused = script_check(blank);
  EXPECT_EQ(refused.exit_code, 2) << refused.out;
  EXPECT_THAT(refused.out, HasSubstr("blank.jsonl holds no tree head"));
  const auto tied = script_check(fmt::format("--against '{}'", out / "kept.jsonl"));
  EXPECT_EQ(tied.exit_code, 0) << tied.out;
  EXPECT_THAT(tied.out, HasSubstr("tied to 1 of 1 kept heads"));
}

// Goal: a wrong call is exit 2 with a reason; nothing is left, and no file is replaced unasked.
TEST_F(audit_export, a_wrong_call_is_told) {
  put("mine", "mine.jsonl");
  const std::string here = fmt::format(" --data '{}'", data);
  const std::string to = fmt::format(" --out '{}/bundle.jsonl'", out.path());
  const std::pair<std::string, std::string> wrong[] = {
      {"export --run " + run + here, "--out"},
      {"export" + here + to, "say what to export"},
      {"export --run nope" + here + to, "run_..."},
      {"export --session run_x" + here + to, "sess_..."},
      {"export --run run_" + std::string(26, '0') + here + to, "holds no run_"},
      {"export --workspace nobody" + here + to, "nothing of what was asked for"},
      {"export --session sess_" + std::string(26, '0') + here + to, "nothing of what was asked"},
      {"export --run " + run + " --session " + session + here + to, "excludes"},
      {"export --run " + run + " --since 2026-01-01T00:00:00Z" + here + to, "whole streams"},
      {"export --since yesterday" + here + to, "2026-06-30T00:00:00Z"},
      {"export --since 2026-02-01T00:00:00Z --until 2026-01-01T00:00:00Z" + here + to, "before"},
      {"export --run " + run + here + " --out '" + (out / "mine.jsonl") + "'", "--force"},
      {"export --run " + run + here + " --out '" + (out / "no/such/folder.jsonl") + "'", "no/such"},
      {"export --run " + run + here + " --force --out '" + out.path() + "'", "is no file"},
      {"export --run " + run + " --data '" + (out / "absent") + "'" + to, "absent"},
      {"export --format pdf --run " + run + here + to, "pdf"},
      {"export --format runs-csv --against '" + (out / "mine.jsonl") + "'" + here + to,
       "--against"},
      {"verify --bundle '" + (out / "absent.jsonl") + "'", "absent.jsonl"},
      {"verify --bundle '" + out.path() + "'", "is a folder"},
      {"verify --bundle '" + (out / "mine.jsonl") + "'", "no bundle"},
      {"verify --bundle x" + here, "excludes"},
      {"verify --allow-unsigned" + here, "--bundle"},
  };
  for (const auto& [words, reason] : wrong) {
    const auto said = say("audit " + words);
    EXPECT_EQ(said.exit_code, 2) << words << ": " << said.out;
    EXPECT_THAT(said.out, HasSubstr(reason)) << words;
  }
  EXPECT_EQ(text("mine.jsonl"), "mine");
  EXPECT_EQ(std::distance(fs::directory_iterator{out.path()}, {}), 1) << "something was left";
  EXPECT_EQ(script_check({}, "absent.jsonl").exit_code, 2);
  EXPECT_EQ(script_check({}, "mine.jsonl").exit_code, 2);
}

// Goal: exporting leaves the ledger's folder as it is, also after a kill.
TEST_F(audit_export, writes_nothing_beside_the_ledger) {
  w.server.kill();
  const auto before = test::folder_state(data);
  EXPECT_EQ(take("--session " + session).exit_code, 0);
  EXPECT_EQ(take("--format spend-csv", "spend.csv").exit_code, 0);
  EXPECT_EQ(check().exit_code, 0);
  EXPECT_EQ(test::folder_state(data), before);
}

// Goal: the tables say of runs and money what the API says of them.
TEST_F(audit_export, tables_say_what_the_api_says) {
  auto client = w.client();
  const auto shown = client.get("/api/v1/runs/" + run);
  EXPECT_EQ(take("--format runs-csv", "runs.csv").out, out / "runs.csv" + ": 2 lines\n");
  EXPECT_THAT(
      text("runs.csv"),
      AllOf(HasSubstr(fmt::format("{},{},default,1,", run, session)),
            HasSubstr(fmt::format(",succeeded,{},{},{},1,2,120,30,{},,\r\n", shown["created_at"],
                                  shown["started_at"], shown["finished_at"], shown["cost_usd"])),
            HasSubstr("'=HYPERLINK(\"\"x\"\")"), HasSubstr(",0.250001,"),
            Not(HasSubstr(",\"=HYPERLINK"))));
  const auto spend = take("--format spend-csv --json", "spend.csv");
  EXPECT_EQ(json_at(spend.out, "lines"), "1") << spend.out;
  EXPECT_THAT(text("spend.csv"),
              AllOf(HasSubstr("day,workspace,agent_id,agent,model,category,reports,tokens_in,"
                              "tokens_out,cost_usd\r\n"),
                    HasSubstr(",2,121,31,1.750001\r\n")));
  EXPECT_EQ(take("--format runs-csv --run " + run, "one.csv").out, out / "one.csv" + ": 1 line\n");
}

// Goal: the docs print the script that the tests run, and it is as short as they say.
TEST(audit_export_docs, print_the_script) {
  const auto page = test::read_whole_file(RUNLEDGER_SOURCE_DIR "/docs/audit.md");
  const auto file = test::read_whole_file(script);
  ASSERT_FALSE(file.empty());
  EXPECT_NE(page.find("```python\n" + file + "```\n"), std::string::npos)
      << "docs/audit.md prints another text than examples/audit/verify_bundle.py";
  EXPECT_LT(std::ranges::count(file, '\n'), 200);
}

} // namespace runledger::contract
