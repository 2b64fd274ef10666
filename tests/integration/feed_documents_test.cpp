// Goal: what describes the feed is what others understand: AsyncAPI's parser, a validator of JSON
// Schema 2020-12, and the SDK of CloudEvents.

#include "tests/support/kafka_feed.hpp"
#include "tests/support/node_packages.hpp"
#include "tests/support/temp_folder.hpp"

#include <fstream>
#include <sstream>

namespace runledger::test {

namespace {

class feed_documents : public ::testing::Test {
protected:
  void SetUp() override {
    if (const auto why = missing_node_packages(); !why.empty())
      GTEST_SKIP() << why;
  }
};

const std::string scripts = RUNLEDGER_SOURCE_DIR "/tests/feed/";
const std::string docs = "'" RUNLEDGER_SOURCE_DIR "/docs' ";
const std::string golden = "'" RUNLEDGER_SOURCE_DIR "/tests/golden/events' ";

} // namespace

// Goal: docs/asyncapi.yaml is valid and has each type in its channel.
TEST_F(feed_documents, asyncapi_is_valid) {
  const auto said = run_node(scripts + "asyncapi.mjs", docs);
  EXPECT_EQ(said.exit_code, 0) << said.error;
  EXPECT_NE(said.out.find(" messages"), std::string::npos) << said.out;
}

// Goal: the schemas mean for another validator what they mean for ours.
TEST_F(feed_documents, schemas_are_2020_12) {
  const auto said = run_node(scripts + "schemas.mjs", docs + golden);
  EXPECT_EQ(said.exit_code, 0) << said.error;
  EXPECT_NE(said.out.find(" events"), std::string::npos) << said.out;
}

// Goal: each record of a feed that is an event of ours parses with the SDK, in both content modes.
TEST_F(feed_documents, records_parse_with_the_sdk_of_cloudevents) {
  const temp_folder data;
  feed_fold fold;
  dice roll{1};
  std::ofstream lines{data / "lines", std::ios::binary};
  for (const auto& r : random_feed(roll, "feed", 400))
    if (fold.take(r))
      lines << kcat_line(r) << '\n';
  lines.close();
  const auto said = run_node(scripts + "cloudevents.mjs", "< '" + (data / "lines") + "'");
  EXPECT_EQ(said.exit_code, 0) << said.error;
  std::ostringstream expected;
  for (const auto& event : fold.accepted())
    expected << event << '\n';
  EXPECT_EQ(said.out, expected.str());
  EXPECT_GT(fold.accepted().size(), 200u);
}

} // namespace runledger::test
