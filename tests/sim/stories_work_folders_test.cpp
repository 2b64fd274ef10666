#include "tests/sim/story.hpp"

#include <filesystem>
#include <fstream>

namespace runledger::sim {

namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class stories_work_folders : public story {
protected:
  /// Accepts a run with an input that is too large for a line: its harness gets a file. (Which it
  /// does not read: program 0 runs.)
  run_id accept_large_run() {
    start_run_request ask_for;
    ask_for.context.workspace = workspace_id{"default"};
    ask_for.agent = agent.value;
    ask_for.prompt = text_payload(std::string(300'000, 'x'));
    auto told = std::make_shared<heard<accepted_run>>();
    ask(w.current(), std::move(ask_for), answer<accepted_run>{[told](auto got) {
          ++told->times;
          told->got = std::move(got);
        }});
    until([&] { return !told->nothing(); }, "an answer to the request");
    EXPECT_TRUE(told->accepted());
    return told->accepted() ? (**told).fact->run : run_id{};
  }

  fs::path version_folder() const {
    return fs::path{w.settings.data_dir} / "work" / (agent.value + "-1");
  }

  /// The first attempt fails because of what is in the way, and says so; without it the next one
  /// does the work.
  void expect_failure_then_success(const run_id& run, const fs::path& in_the_way) {
    w.out.spoiled.insert(run.value + "#1"); // As if its harness had failed: the attempt counts.
    until([&] { return count(stream_of(run), "run.attempt_failed") == 1; }, "the failure");
    const auto& failed = state_of(run);
    EXPECT_EQ(failed.error.code, "work_folder_unwritable");
    EXPECT_THAT(failed.error.message, HasSubstr(version_folder().string()));
    EXPECT_EQ(failed.failures, 1);
    EXPECT_TRUE(executions(run, "a").empty());
    fs::remove(in_the_way);
    until_ended(run);
    EXPECT_EQ(state_of(run).at, run::phase::succeeded);
    EXPECT_EQ(state_of(run).attempt, 2);
    EXPECT_THAT(executions(run, "a"), ElementsAre(1));
  }
};

// Goal: a harness never begins without a file that it was promised.
TEST_F(stories_work_folders, file_that_cannot_be_written_fails_the_attempt) {
  begin();
  let(0, {step("a")});
  const auto run = accept_large_run();
  const auto in_the_way = version_folder() / run.value / ".runledger";
  fs::create_directories(in_the_way.parent_path());
  std::ofstream{in_the_way} << "a file where a folder belongs";
  expect_failure_then_success(run, in_the_way);
}

// Goal: nor without its work folder.
TEST_F(stories_work_folders, folder_that_cannot_be_made_fails_the_attempt) {
  begin();
  let(1, {step("a")});
  fs::create_directories(version_folder().parent_path());
  std::ofstream{version_folder()} << "a file where a folder belongs";
  const auto run = accept_run(1).fact->run;
  expect_failure_then_success(run, version_folder());
}

} // namespace

} // namespace runledger::sim
