// Measures `runledger replay` on a session of 10,000 events in a ledger of many others, as a person
// would wait for it: the whole process, from its start to its end, output thrown away.
//   replay_bench RUNLEDGER [events of the session = 10000] [others = 200000]

#include "events/log/sqlite_log.hpp"
#include "tests/support/history.hpp"
#include "tests/support/temp_folder.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

namespace runledger::test {
namespace {

/// One session of runs with a hundred events each: steps with outputs of some sentences.
class session_writer {
public:
  explicit session_writer(history& facts) : facts_(facts), session_(facts.fresh_session()) {}

  const session_id& session() const { return session_; }

  void write(std::size_t events) {
    for (std::size_t written = 0; written < events; written += 102) {
      const auto run = facts_.fresh_run(session_);
      facts_.write_session(session_, facts_.turn(run, ++turn_));
      run::started begun;
      begun.session = session_;
      begun.turn = turn_;
      facts_.write_run(session_, run, begun);
      for (int step = 0; step < 49; ++step) {
        const auto key = "step-" + std::to_string(step);
        facts_.write_run(session_, run, run::step_started{key, {}, {}, 1, {}, {}, {}});
        facts_.write_run(session_, run,
                         run::step_completed{key, 1, 1, text_payload(std::string(200, 'x')), {}});
      }
      facts_.write_run(session_, run, run::succeeded{1, text_payload("done"), {}});
      facts_.write_session(session_, session::turn_ended{run, "succeeded"});
      facts_.clock.time += std::chrono::milliseconds{100};
    }
  }

private:
  history& facts_;
  session_id session_;
  std::int64_t turn_ = 0;
};

/// Milliseconds that a command took; ends the program if it failed.
double took(const std::string& program, std::vector<std::string> words) {
  words.insert(words.begin(), program);
  std::vector<char*> arguments;
  for (auto& word : words)
    arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  const auto begin = std::chrono::steady_clock::now();
  pid_t child = 0;
  int status = -1;
  if (::posix_spawn(&child, program.c_str(), &files, nullptr, arguments.data(), environ) == 0)
    ::waitpid(child, &status, 0);
  const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - begin;
  posix_spawn_file_actions_destroy(&files);
  if (status != 0) {
    std::fprintf(stderr, "replay_bench: %s %s failed\n", program.c_str(), words.at(2).c_str());
    std::exit(1);
  }
  return time.count();
}

void measure(const char* name, const std::string& program, const std::vector<std::string>& words) {
  std::vector<double> times;
  for (int i = 0; i < 11; ++i)
    times.push_back(took(program, words));
  std::ranges::sort(times);
  std::printf("%s: median %.1f ms, worst %.1f ms\n", name, times[times.size() / 2], times.back());
}

int bench(const std::string& program, std::size_t events, std::size_t others) {
  temp_folder folder;
  std::string session;
  {
    auto log = sqlite_log::open({.folder = folder.path()});
    if (!log) {
      std::fprintf(stderr, "replay_bench: %s\n", log.error().c_str());
      return 1;
    }
    history facts{**log};
    session_writer asked{facts};
    session = asked.session().value;
    for (int part = 0; part < 4; ++part) { // Spread over the ledger.
      session_writer other{facts};
      other.write(others / 4);
      asked.write(events / 4);
    }
  }
  measure("show", program, {"replay", "show", session, "--data", folder.path()});
  measure("show --json", program, {"replay", "show", session, "--json", "--data", folder.path()});
  measure("at the end", program, {"replay", "at", session, "1000000", "--data", folder.path()});
  measure("spend", program,
          {"replay", "at", "ws/default", "offset:1000000000", "--data", folder.path()});
  return 0;
}

} // namespace
} // namespace runledger::test

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "replay_bench RUNLEDGER [events = 10000] [others = 200000]\n");
    return 2;
  }
  return runledger::test::bench(argv[1], argc > 2 ? std::stoul(argv[2]) : 10'000,
                                argc > 3 ? std::stoul(argv[3]) : 200'000);
}
