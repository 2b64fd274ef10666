// Goal: nodes, workers and a broker go through faults in any combination under load, and all that
// tests/soak compares afterwards is as it should be; the histories' checker can say no.

#include "tests/support/kafka_cluster.hpp"
#include "tests/support/linearizability.hpp"
#include "tests/support/server_process.hpp"

#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>

namespace runledger::test {

namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

/// The text behind `# NAME: ` in a history; empty where there is no such line.
std::string noted_in(const std::string& history, const std::string& name) {
  const auto text = read_whole_file(history);
  const auto mark = "# " + name + ": ";
  const auto begin = text.find(mark);
  if (begin == std::string::npos)
    return {};
  return text.substr(begin + mark.size(), text.find('\n', begin) - begin - mark.size());
}

} // namespace

// Goal: the checker accepts what one server could have said, and refuses each planted violation,
// with the call that fits nowhere.
TEST(linearizability, planted_violations_are_refused) {
  if (const auto why = missing_checker(); !why.empty())
    GTEST_SKIP() << why;
  int good = 0, bad = 0;
  for (const auto& entry :
       fs::directory_iterator{RUNLEDGER_SOURCE_DIR "/tests/linearizability/histories"}) {
    const auto history = entry.path().string();
    const auto said = shell("'" + linearizability_checker + "' '" + history + "'");
    if (const auto finds = noted_in(history, "finds"); finds.empty()) {
      ++good;
      EXPECT_EQ(said.exit_code, 0) << history << ": " << said.out;
    } else {
      ++bad;
      EXPECT_EQ(said.exit_code, 1) << history << ": " << said.out;
      EXPECT_THAT(said.out, HasSubstr(finds)) << history;
    }
  }
  EXPECT_GE(good, 5);
  EXPECT_GE(bad, 19);
}

// Goal: what is no history is not taken for a good one.
TEST(linearizability, only_histories_are_judged) {
  if (const auto why = missing_checker(); !why.empty())
    GTEST_SKIP() << why;
  temp_folder folder;
  const auto history = folder / "history.jsonl";
  for (const auto* content :
       {"", "# nothing", R"({"op":"create"})", R"({"object":"k","op":"destroy","outcome":"ok"})",
        R"({"object":"k","op":"create","key":"k","outcome":"stale"})",
        R"({"object":"k","op":"create","key":"k","call":5,"return":4,"outcome":"ok"})"}) {
    shell("printf '%s' '" + std::string{content} + "' >'" + history + "'");
    EXPECT_EQ(shell("'" + linearizability_checker + "' '" + history + "'").exit_code, 2) << content;
  }
}

/// A bounded version of `make soak`. TEST_SEED=n repeats its plan of faults and its clients.
class soak : public on_own_kafka {
protected:
  static void expect_all_is_well(const std::string& options) {
    std::string words = "/usr/bin/python3 '" RUNLEDGER_SOURCE_DIR
                        "/tests/soak/soak' --binary '" RUNLEDGER_BINARY "' --seconds 10 "
                        + options;
    if (const char* seed = std::getenv("TEST_SEED"); seed != nullptr)
      words += std::string{" --seed "} + seed;
    const auto said = shell(words);
    EXPECT_EQ(said.exit_code, 0) << said.out;
    EXPECT_THAT(said.out, HasSubstr("all is well"));
  }
};

// Goal: a node, its remote workers and the broker die, fall silent and come back at any time.
TEST_F(soak, workers_outlive_any_combination_of_faults) {
  expect_all_is_well("--nodes 1 --workers 2 --every 1.2 --clients 5");
}

// Goal: likewise two nodes, with others that join the group, leave it, and claim without it.
TEST_F(soak, nodes_outlive_any_combination_of_faults) {
  expect_all_is_well("--nodes 2 --workers 2 --every 1.5 --clients 5");
}

} // namespace runledger::test
