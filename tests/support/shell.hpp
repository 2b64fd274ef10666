#pragma once

#include <string>

namespace runledger::test {

/// What a command said, and how it ended.
struct spoken {
  int exit_code = -1; ///< -1: it was killed, or there is no shell.
  std::string out;    ///< stdout and, from shell(), stderr, in their order.
  std::string error;  ///< stderr, from shell_apart().
};

/// Runs a line of `sh`, as a person types it, and waits for its end.
spoken shell(const std::string& line);
/// The same, with what it wrote to stderr apart.
spoken shell_apart(const std::string& line);

} // namespace runledger::test
