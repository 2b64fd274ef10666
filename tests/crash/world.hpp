#pragma once

#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/temp_folder.hpp"

#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

/// What the crash tests share: a server with a folder of its own, agents that count what they do,
/// and the checks that compare ledger, effects and answers.
namespace runledger::crash {

using namespace runledger::test;

/// One server and everything around it, gone at the end.
class world {
public:
  world();

  temp_folder folder;
  server_process server;

  std::string data() const { return folder / "data"; }
  /// Where the counting agents note each execution; below the server's mount_roots.
  std::string effects() const { return folder / "effects"; }

  /// Starts the server; a start in vain fails the test.
  [[nodiscard]] bool start();
  /// With the admin key, to where the server listens now.
  http_client client() const;
  /// Makes an agent with a recipe; returns its id, empty on failure.
  std::string make_agent(const std::string& name, const std::string& recipe) const;
  /// POSTs a run, waits for its end, and returns the run object.
  http_answer run_to_end(const std::string& agent, const std::string& body, int seconds = 30) const;
  /// Polls the run until it has ended; the run object.
  http_answer await_end_of(const std::string& run,
                           std::chrono::milliseconds at_most = std::chrono::seconds{30}) const;
  /// Polls until the ledger has no unfinished work, down to the last session, and the server's
  /// views show it all.
  [[nodiscard]] bool drained(std::chrono::milliseconds at_most = std::chrono::seconds{60}) const;
};

/// tests/bench/pooled_harness as a recipe: three steps, each noted in effects()/pooled.
std::string pooled_recipe(const world& w);
/// A Python agent as a recipe: `steps` steps of `pause_ms` (of the initial state), each noted in
/// effects()/steps.
std::string steps_recipe(const world& w);
/// tests/support/rude_harness.py with its arguments; `more`: further members of the recipe, each
/// after a comma.
std::string rude_recipe(const std::vector<std::string>& arguments, const std::string& more = {},
                        const std::string& harness_more = {});
/// The body of POST /agents for a folder of examples/agents.
std::string example_agent(const std::string& name);

/// What became of a run, by its stream.
struct run_story {
  std::string session, agent;
  std::vector<std::string> types; ///< Of its events, without `run.`.
  std::map<std::string, int> completed_times;
  std::map<std::string, std::int64_t> completed_attempt;
  std::map<std::string, std::set<std::int64_t>> started_attempts;
  int terminals = 0;
  std::int64_t counted_attempts = 0; ///< attempt_failed with counted.
};

/// The ledger as one who knows nothing but its file sees it.
struct ledger_story {
  std::vector<std::string> problems;                        ///< Breaks of chain, order or meaning.
  std::map<std::string, run_story> runs;                    ///< Every accepted run, begun or not.
  std::map<std::string, std::set<std::string>> runs_of_key; ///< By Idempotency-Key.
  std::size_t events = 0;
};

/// Reads every event, checks fold and chain anew, and that no run tells an impossible story.
ledger_story read_ledger(const std::string& data);

/// How many streams have unfinished work, at most 1,000; -1: the ledger cannot be read.
int unfinished_streams(const std::string& data);
/// The offset behind the last event; -1: the ledger cannot be read.
std::int64_t end_of_ledger(const std::string& data);

/// Compares the lines `<run>/<key> <attempt>` of an effects file with the ledger: each execution
/// once, started before in the ledger, none after the recorded completion, one behind each
/// completion of a step of that agent. Returns what is wrong.
std::vector<std::string> check_effects(const std::string& file, const ledger_story& ledger,
                                       const std::string& agent);

/// What the API says of everything, for a comparison before and after: lists, sessions, timelines,
/// analytics. Timelines with a gap are told in `problems`.
std::string dump_answers(const world& w, std::vector<std::string>& problems);

/// Seed of a random test: TEST_SEED, else a new one. Printed.
std::uint64_t seed_of_test();
/// CRASH_KILLS, else TEST_KILLS, else the default.
int kills_wanted(int otherwise);

/// The first lines of many, for a message.
std::string some_of(const std::vector<std::string>& lines);

/// Files below `folder` that hold `text`.
std::vector<std::string> files_with(const std::string& folder, const std::string& text);

} // namespace runledger::crash
