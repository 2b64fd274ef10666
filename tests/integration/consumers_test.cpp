// Goal: the example consumers accept the very events that our fold accepts, whatever stands between
// them: repeats, zombies' writes, gaps, forged hashes, wrong keys, and what others wrote.

#include "events/json.hpp"
#include "tests/support/kafka_feed.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <unistd.h>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;

const std::string examples = RUNLEDGER_SOURCE_DIR "/examples/consumers/";

class example_consumer : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override {
    if (GetParam() == std::string{"node"} && access("/usr/bin/node", X_OK) != 0)
      GTEST_SKIP() << "/usr/bin/node is not installed";
  }
  static std::string command() {
    return GetParam() == std::string{"node"}
               ? "/usr/bin/node '" + examples + "node/acceptance.mjs'"
               : "PYTHONPATH= /usr/bin/python3 -B '" + examples + "python/acceptance.py'";
  }
  /// What the example says of these lines.
  spoken run(const std::string& lines) {
    const auto file = folder_.path() + "/records.jsonl";
    std::ofstream{file, std::ios::binary} << lines;
    return shell_apart(command() + " < '" + file + "'");
  }

  temp_folder folder_;
};

/// `id eventhash` of each line of CloudEvents in JSON.
std::vector<std::string> events_in(const std::string& out) {
  std::vector<std::string> found;
  std::istringstream lines{out};
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = json::parse(line);
    if (!parsed) {
      ADD_FAILURE() << line;
      return found;
    }
    const auto text = [&](const char* name) {
      return std::string{parsed->root().find(name)->string()};
    };
    found.push_back(text("id") + ' ' + text("eventhash"));
  }
  return found;
}

} // namespace

// Goal: on 12 random feeds with every kind of record that does not count.
TEST_P(example_consumer, accepts_what_the_fold_accepts) {
  feed_fold fold;
  std::string lines;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    dice roll{seed};
    for (const auto& r : random_feed(roll, "feed_" + std::to_string(seed), 250)) {
      fold.take(r);
      lines += kcat_line(r) + '\n';
    }
  }
  for (const char* verdict : {"accepted", "duplicate", "stale_seq", "gap", "wrong_epoch",
                              "wrong_partition", "broken_chain", "bad_hash", "unreadable"})
    EXPECT_GT(fold.verdicts().at(verdict), 20) << verdict;
  const auto said = run(lines);
  EXPECT_EQ(said.exit_code, 0) << said.error;
  const auto found = events_in(said.out);
  const auto& expected = fold.accepted();
  for (const auto& e : expected)
    EXPECT_TRUE(std::ranges::find(found, e) != found.end()) << e;
  ASSERT_EQ(found.size(), expected.size()) << said.error;
  for (std::size_t i = 0; i < found.size(); ++i)
    ASSERT_EQ(found[i], expected[i]) << "event " << i;
  EXPECT_THAT(said.error, HasSubstr("sequence is not the next one"));
}

// Goal: an event is printed with its payload as it was written, numbers and all; lines that are no
// records do no harm.
TEST_P(example_consumer, prints_payloads_as_they_are) {
  auto r = std::make_shared<record>();
  auto& e = r->event;
  e.stream.value = e.partition_key = "ag_1";
  e.seq = 1;
  e.type = full_type("agent.created", 1);
  e.workspace.value = "default";
  e.data = R"({"slug":"a","n":[1.50, 123456789012345678901234567890],"e":"\u00e9"})";
  seal(e);
  std::string lines = "no record\n{}\n\xFF\n";
  for (const auto mode : {kafka::content_mode::binary, kafka::content_mode::structured})
    lines += kcat_line({mode == kafka::content_mode::binary ? "a.catalog" : "b.catalog", 0, 0,
                        written(*r, mode)})
             + '\n';
  const auto said = run(lines);
  EXPECT_EQ(said.exit_code, 0) << said.error;
  EXPECT_EQ(events_in(said.out).size(), 2u);
  EXPECT_EQ(said.out.find(",\"data\":" + e.data + "}\n"), said.out.find(",\"data\":"));
  EXPECT_THAT(said.error, HasSubstr("skipped 3: the line is no record in JSON"));
}

INSTANTIATE_TEST_SUITE_P(consumers, example_consumer, testing::Values("python", "node"),
                         [](const auto& info) { return std::string{info.param}; });

} // namespace runledger::test
