#pragma once

#include "tests/support/server_process.hpp"

#include <sys/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace runledger::test {

/// A program that runs beside the test until it ends or the test ends it. It is killed with the
/// thread that started it.
class program {
public:
  using variables = std::vector<std::pair<std::string, std::string>>;
  /// Starts `words` (the first is a path), with this environment beside the test's own without its
  /// RUNLEDGER_ variables; stdout and stderr go to the file `output`.
  program(std::vector<std::string> words, const variables& environment, std::string output);
  ~program(); ///< SIGKILL.
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  pid_t pid() const { return pid_; }
  void signal(int number) const;
  /// Nothing: it still runs after that time.
  std::optional<process_end> await_end(std::chrono::milliseconds at_most = std::chrono::seconds{
                                           30});
  void kill();
  std::string printed() const { return read_whole_file(output_); }

private:
  bool collect(int flags);

  std::string output_;
  pid_t pid_ = -1;
  std::optional<process_end> end_;
};

} // namespace runledger::test
