// Goal: `replay what-if` of the real binary tells people and programs the same, to the byte, of a
// ledger that is made anew with the same ids each time; and it leaves the folder as it was.
//
// UPDATE_GOLDEN=1 writes the expected texts anew.

#include "events/log/sqlite_log.hpp"
#include "tests/support/folder_state.hpp"
#include "tests/support/history.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>

namespace runledger::test {

namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::string golden_folder = RUNLEDGER_SOURCE_DIR "/tests/golden/what-if/";

/// A ledger file with one run of each kind.
class made_ledger {
public:
  explicit made_ledger(const std::string& folder)
      : log_(*sqlite_log::open({.folder = folder})), facts_(*log_) {
    const auto cheap = begin({});
    spend(cheap, 1000);
    end(cheap, run::succeeded{1, text_payload("done"), {}});
    const auto dear = begin({});
    for (int i = 0; i < 4; ++i)
      spend(dear, 300'000);
    end(dear, run::succeeded{1, text_payload("done"), {}});
    run::started limited;
    limited.limits.max_cost_micro_usd = micro_usd{250'000};
    const auto own = begin(limited);
    spend(own, 250'001);
    end(own, run::failed{{}, 0, 1, {"cost_limit_exceeded", "Cost limit exceeded"}, {}});
    since = facts_.clock.time + std::chrono::seconds{1};
    facts_.clock.time = since;
    const auto tried = begin({});
    facts_.write_run(sessions_[tried], tried,
                     run::attempt_failed{1, {"process_exit", "It exited with 3."}, true, 2, 0, {}});
    facts_.write_run(sessions_[tried], tried, run::attempt_started{2, {}});
    spend(tried, 20'000);
    runs = {cheap, dear, own, tried};
  }

  std::vector<run_id> runs;
  timestamp since{};
  session_id session_of(const run_id& run) { return sessions_[run]; }

private:
  run_id begin(const run::started& how) {
    const auto session = facts_.fresh_session();
    const auto run = facts_.fresh_run(session);
    sessions_[run] = session;
    facts_.write_session(session, facts_.turn(run));
    facts_.write_run(session, run, how);
    return run;
  }
  void spend(const run_id& run, std::int64_t amount) {
    facts_.clock.time += std::chrono::milliseconds{250};
    facts_.write_run(sessions_[run], run,
                     run::usage_reported{10, 5, micro_usd{amount}, "m", "llm", {}, {}});
  }
  template <class Fact>
  void end(const run_id& run, const Fact& fact) {
    facts_.write(stream_of(run), run::event{fact});
  }

  std::unique_ptr<event_log> log_;
  history facts_;
  std::map<run_id, session_id> sessions_;
};

class what_if_command : public ::testing::Test {
protected:
  struct spoken {
    int exit_code;
    std::string out, error;
  };
  void SetUp() override {
    made_ledger made{data.path()};
    runs = made.runs;
    session = made.session_of(runs[1]);
    since = to_rfc3339(made.since);
  }
  spoken say(const std::string& words) const {
    const auto errors = folder / "stderr";
    const auto line = fmt::format("env RUNLEDGER_DATA='{}' '{}' replay what-if {} 2>'{}'",
                                  data.path(), RUNLEDGER_BINARY, words, errors);
    spoken said{-1, {}, {}};
    FILE* pipe = ::popen(line.c_str(), "r");
    char piece[4096];
    for (std::size_t n; (n = std::fread(piece, 1, sizeof piece, pipe)) > 0;)
      said.out.append(piece, n);
    const int status = ::pclose(pipe);
    said.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    said.error = read_whole_file(errors);
    return said;
  }
  void expect_golden(const std::string& words, const std::string& name) const {
    SCOPED_TRACE(words);
    const auto said = say(words);
    EXPECT_EQ(said.exit_code, 0) << said.error;
    if (std::getenv("UPDATE_GOLDEN") != nullptr)
      std::ofstream{golden_folder + name} << said.out;
    EXPECT_EQ(said.out, read_whole_file(golden_folder + name));
  }

  temp_folder data, folder;
  std::vector<run_id> runs;
  session_id session;
  std::string since;
};

} // namespace

TEST_F(what_if_command, tells_to_the_byte) {
  const auto before = folder_state(data.path());
  expect_golden("--max-cost-usd 0.50", "cost.txt");
  expect_golden("--max-cost-usd 0.50 --json", "cost.json");
  expect_golden("--budget 1", "budget.txt");
  expect_golden("--budget 1 --json", "budget.json");
  expect_golden("--retry 1", "retry.txt");
  expect_golden("--retry 1 --max-cost-usd 10 --json", "both.json");
  EXPECT_EQ(folder_state(data.path()), before);
}

TEST_F(what_if_command, selects) {
  const auto counted = [&](const std::string& words, const std::string& first_words) {
    const auto said = say("--max-cost-usd 100 " + words);
    EXPECT_EQ(said.exit_code, 0) << said.error;
    EXPECT_THAT(said.out, HasSubstr("runs      " + first_words)) << words;
  };
  counted("", "4: 3 as recorded");
  counted("--run " + runs[2].value, "1: 0 as recorded, 0 would have stopped earlier, 1 unknown");
  counted("--session " + session.value, "1: 1 as recorded");
  counted("--workspace default", "4: ");
  counted("--workspace ws/default", "4: ");
  counted("--since " + since, "1: ");
  counted("--since 2100-01-01T00:00:00Z --workspace default", "0: ");
}

// Goal: a call that asks nothing, or what cannot be told, is refused in words.
TEST_F(what_if_command, refuses_in_words) {
  const auto refused = [&](const std::string& words, const std::string& message) {
    const auto said = say(words);
    EXPECT_EQ(said.exit_code, 2) << words;
    EXPECT_THAT(said.error, HasSubstr(message)) << words;
    EXPECT_THAT(said.out, IsEmpty()) << words;
  };
  refused("", "say what would have been other: --max-cost-usd, --retry or --budget");
  refused(
      "--max-cost-usd lots",
      "--max-cost-usd is an amount in dollars with at most 6 decimals, such as 0.05, not `lots`");
  refused("--budget -1", "--budget");
  refused("--max-cost-usd 0.0000001", "not `0.0000001`");
  refused("--retry 0", "--retry");
  refused("--budget 1 --retry 2", "--budget stands alone");
  refused("--retry 2 --since yesterday", "--since yesterday: write a time like");
  refused("--retry 2 --run run_1 --session sess_1", "excludes");
  refused("--retry 2 --run run_01HZZZZZZZZZZZZZZZZZZZZZZZ", "knows no run of run_01HZ");
  refused("--retry 2 --workspace nowhere", "knows no run of nowhere");
}

} // namespace runledger::test
