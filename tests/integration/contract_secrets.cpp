// Goal: a recipe names a secret, and its process alone gets the value, from where the settings say
// and for whom they say.

#include "events/digest.hpp"
#include "tests/integration/contract_world.hpp"

#include <filesystem>
#include <fstream>

namespace runledger::contract {

namespace {

/// Tells the digests of its variables, so that the values show nowhere.
constexpr const char* agent = R"py(
import hashlib, json, os, sys
print(json.dumps({"type": "ready", "protocol": 1}), flush=True)
for line in sys.stdin:
    if json.loads(line)["type"] == "run.start":
        told = [hashlib.sha256(os.environ[name].encode()).hexdigest()
                for name in ("A", "B") if name in os.environ]
        print(json.dumps({"type": "result", "output": " ".join(told)}), flush=True)
        break
)py";

std::string recipe_with(const std::string& env) {
  return R"({"harness":{"kind":"process","command":["python3","/agent/a.py"],"files":{"a.py":)"
         + json_quoted(agent) + R"(}},"env":{)" + env + "}}";
}

std::string variable(const std::string& name, const std::string& secret) {
  return json_quoted(name) + R"(:{"secret":)" + json_quoted(secret) + '}';
}

std::string told(const std::string& value) {
  return to_hex(sha256(value));
}

/// Runs an agent of this recipe under this key to its end.
http_answer outcome(const world& w, const std::string& key, const std::string& env) {
  auto asking = w.client(key);
  const auto slug = world::unique("secret");
  const auto made = asking.post("/api/v1/agents", R"({"name":)" + json_quoted(slug)
                                                      + R"(,"recipe":)" + recipe_with(env) + "}");
  EXPECT_EQ(made.status, 201) << made.body;
  return asking.post("/api/v1/agents/" + slug + "/runs", R"({"prompt":"x"})",
                     {{"Prefer", "wait=60"}});
}

} // namespace

TEST(contract_secrets, come_from_files_and_variables) {
  world w;
  std::ofstream{w.folder / "one"} << "from a file\n";
  std::ofstream{w.folder / "two"} << "two\nlines\n\n";
  std::ofstream{w.folder / "bare"} << "no line feed";
  w.server.options().environment = {{"CONTRACT_SECRET", "from a variable\n"}};
  w.server.options().flags.insert(w.server.options().flags.end(),
                                  {"--secrets.one.file", w.folder / "one", "--secrets.two.file",
                                   w.folder / "two", "--secrets.bare.file", w.folder / "bare",
                                   "--secrets.var.env", "CONTRACT_SECRET"});
  ASSERT_TRUE(w.start());
  const auto first = outcome(w, w.key, variable("A", "one") + ',' + variable("B", "two"));
  EXPECT_EQ(first["result"], told("from a file") + ' ' + told("two\nlines\n"))
      << "one line feed at the end of a file does not count: " << first.body;
  const auto second = outcome(w, w.key, variable("A", "bare") + ',' + variable("B", "var"));
  EXPECT_EQ(second["result"], told("no line feed") + ' ' + told("from a variable\n"))
      << second.body;

  // A file is read when it is needed: a secret may be rotated while the server runs.
  std::ofstream{w.folder / "one"} << "rotated\n";
  EXPECT_EQ(outcome(w, w.key, variable("A", "one"))["result"], told("rotated"));
  std::filesystem::remove(w.folder / "one");
  const auto gone = outcome(w, w.key, variable("A", "one"));
  EXPECT_EQ(gone["status"], "failed");
  EXPECT_EQ(gone["error.code"], "secret_missing") << gone.body;
}

TEST(contract_secrets, are_for_the_workspaces_that_are_named) {
  world w;
  std::ofstream{w.folder / "one"} << "for some\n";
  ASSERT_TRUE(w.start());
  const auto named = w.make_workspace(), other = w.make_workspace();
  const auto named_key = w.make_key(R"("write")", named),
             other_key = w.make_key(R"("write")", other);
  w.server.stop();
  w.server.options().flags.insert(
      w.server.options().flags.end(),
      {"--secrets.some.file", w.folder / "one", "--secrets.some.workspaces", "default," + named});
  ASSERT_TRUE(w.start());
  for (const auto& key : {w.key, named_key})
    EXPECT_EQ(outcome(w, key, variable("A", "some"))["result"], told("for some"));
  const auto refused = outcome(w, other_key, variable("A", "some"));
  EXPECT_EQ(refused["status"], "failed");
  EXPECT_EQ(refused["error.code"], "secret_missing") << refused.body;
  EXPECT_NE(refused["error.message"].find("`some`"), std::string::npos) << refused.body;
}

TEST(contract_secrets, a_missing_source_is_a_warning_at_the_start) {
  world w;
  w.server.options().flags.insert(
      w.server.options().flags.end(),
      {"--secrets.file.file", w.folder / "absent", "--secrets.var.env", "SURELY_NOT_SET_8"});
  ASSERT_TRUE(w.start()) << "the server serves without it";
  const auto said = w.server.printed();
  EXPECT_NE(said.find("warning: secrets.file: " + (w.folder / "absent")), std::string::npos)
      << said;
  EXPECT_NE(said.find("warning: secrets.var: the variable SURELY_NOT_SET_8 is not set"),
            std::string::npos)
      << said;
  for (const char* name : {"file", "var"}) {
    const auto failed = outcome(w, w.key, variable("A", name));
    EXPECT_EQ(failed["error.code"], "secret_missing") << failed.body;
  }
  std::ofstream{w.folder / "absent"} << "late\n";
  EXPECT_EQ(outcome(w, w.key, variable("A", "file"))["result"], told("late"));
}

} // namespace runledger::contract
