#pragma once

#include "tests/support/eventually.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace runledger::test {

/// How the binary is started.
struct server_options {
  std::string binary;             ///< RUNLEDGER_BINARY in the tests of the product.
  std::string data;               ///< The data folder; the server makes it.
  std::vector<std::string> flags; ///< Beside --listen and --data.
  /// Beside the test's own environment without its RUNLEDGER_ variables.
  std::vector<std::pair<std::string, std::string>> environment;
};

/// How a process ended.
struct process_end {
  int code = -1;  ///< Exit code; -1: by a signal.
  int signal = 0; ///< 0: by itself.
};

/// The real server on a free port of loopback, to be started, killed and started again on the same
/// data. One thread: the one that starts it, because the server is killed when that thread ends, so
/// that nothing is left of a test that dies. The destructor kills it, and fails the test if the
/// views that it leaves are not what its ledger says.
class server_process {
public:
  explicit server_process(server_options options);
  ~server_process();
  server_process(const server_process&) = delete;
  server_process& operator=(const server_process&) = delete;

  /// Changes take effect with the next start.
  server_options& options() { return options_; }

  /// Starts it and waits until /readyz is 200. False: it ended, or was not ready in time; see
  /// why().
  bool start(std::chrono::milliseconds at_most = std::chrono::seconds{30});
  /// Starts it and returns at once.
  void launch();
  /// Waits until it is ready, as start does.
  bool await_ready(std::chrono::milliseconds at_most = std::chrono::seconds{30});
  /// Waits until it listens; the port is known from then on.
  bool await_port(std::chrono::milliseconds at_most = std::chrono::seconds{30});

  /// The test has damaged what the views are compared with at the end; `why` says what.
  void expect_other_views([[maybe_unused]] const char* why) { compare_views_ = false; }

  /// kill(), then the look at the views.
  void end();
  /// SIGKILL, and waits for the end.
  void kill();
  void signal(int number);
  /// Nothing: it still runs after that time.
  std::optional<process_end> await_end(std::chrono::milliseconds at_most);
  /// SIGTERM, and waits for the end.
  std::optional<process_end> stop(std::chrono::milliseconds at_most = std::chrono::seconds{60});
  bool running();

  std::uint16_t port() const { return port_; }
  pid_t pid() const { return pid_; }
  /// Of the admin key that the first start left in the data folder.
  std::string admin_key() const;
  /// Everything that it wrote to stdout and stderr, all starts one after the other.
  std::string printed() const;
  /// What it wrote since the last start.
  std::string printed_now() const { return printed().substr(printed_before_); }
  /// What is known about an end or a start in vain, for a test's message.
  std::string why();

private:
  bool collect(int flags);

  server_options options_;
  std::string output_path_; // Beside the data folder, not in it.
  std::size_t printed_before_ = 0;
  std::string not_ready_; // What /readyz said last instead of yes.
  pid_t pid_ = -1;
  std::uint16_t port_ = 0;
  std::optional<process_end> end_;
  bool launched_ = false;  // And not looked at since.
  bool was_ready_ = false; // Once: from then on there are views.
  bool compare_views_ = true;
};

/// The whole file; empty where it cannot be read.
std::string read_whole_file(const std::string& path);

} // namespace runledger::test
