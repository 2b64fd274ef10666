#pragma once

#include "cli/client.hpp"
#include "events/json.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

/// What the client commands share. Each `add_...` function puts one noun into the command line and
/// leaves in `chosen` what the caller asked for; main() runs it and gives back its exit code.
namespace runledger::cli {

/// The answers of a command to the shell.
constexpr int exit_done = 0;
constexpr int exit_no = 1;    // The answer is no: the run failed, the verification failed.
constexpr int exit_wrong = 2; // The call was wrong, or nothing could be done.

/// Ends the command with a sentence on stderr. Thrown and caught inside cli/ only.
struct command_failure {
  int exit_code = exit_wrong;
  std::string message;
};

using command = std::function<int()>;

struct client_options {
  std::string server, data;
  bool json = false;
};

/// `--server`, `--data`, `--json`. `options` must outlive the parsing.
void add_client_options(CLI::App& app, client_options& options);

/// The nodes that `--server` (else RUNLEDGER_SERVER) names, with commas, and the key for them.
struct chosen_servers {
  std::vector<server_address> servers;
  std::string key;
};
chosen_servers servers_of(const client_options& options);

/// The API of one server, in the words of the commands: every function that does not get a 2xx
/// answer ends the command with the server's own explanation (command_failure).
class api {
public:
  /// The server by --server, RUNLEDGER_SERVER or the default; the key by RUNLEDGER_API_KEY or the
  /// data folder.
  explicit api(client_options options);

  bool json() const { return options_.json; }
  const client& connection() const { return connection_; }

  http_reply get(const std::string& target) const;
  /// Carries an idempotency key, so that it is repeated where the connection is lost or the outcome
  /// unknown.
  http_reply post(const std::string& target, const std::string& body,
                  std::string idempotency_key = {}) const;
  /// For what answers with a secret: never repeated, because a replay would not show it.
  http_reply post_once(const std::string& target, const std::string& body) const;
  http_reply patch(const std::string& target, const std::string& body) const;
  void remove(const std::string& target) const;

  /// The elements of a list endpoint, newest first, at most `limit` of them, over as many pages as
  /// it takes.
  std::vector<std::string> list(const std::string& target, std::size_t limit) const;

  /// Ends the command with what a reply that is no success says.
  [[noreturn]] void refuse(const http_reply& reply) const;

private:
  http_reply answered(const http_call& call) const;

  client_options options_;
  client connection_;
};

/// The document of a reply; ends the command where it is none.
json::document parsed(std::string_view body);

/// A path segment: everything but unreserved characters in percent form.
std::string segment(std::string_view text);
/// `?a=b&c=d` of the pairs with a value; empty without any.
std::string query(const std::vector<std::pair<std::string, std::string>>& pairs);

/// The text of an argument; `@FILE` and `@-` stand for the text of a file and of stdin.
std::string text_of(const std::string& argument);
/// A whole file, or stdin for `-`.
std::string file_text(const std::string& path);

/// 32 hexadecimal digits from the system's random source.
std::string random_key();

void print(std::string_view text);

/// Prints a list: with `json` the elements as one array, else `human` of it.
void print_list(bool json, const std::vector<std::string>& elements,
                const std::function<std::string(const std::vector<json::document>&)>& human);

void add_serve(CLI::App& app, command& chosen);
void add_agents(CLI::App& app, command& chosen);
void add_runs(CLI::App& app, command& chosen);
void add_sessions(CLI::App& app, command& chosen);
void add_keys(CLI::App& app, command& chosen);
void add_workspaces(CLI::App& app, command& chosen);
void add_replay(CLI::App& app, command& chosen);
void add_audit(CLI::App& app, command& chosen);
void add_ledger(CLI::App& app, command& chosen);
void add_worker(CLI::App& app, command& chosen);
void add_doctor(CLI::App& app, command& chosen);

/// Fills the command line with every command; a parse sets `chosen`, which has to outlive `app`.
void add_commands(CLI::App& app, command& chosen);

/// Parses the arguments and runs what they ask for. The process's exit code.
int run_command_line(int argc, char** argv);

} // namespace runledger::cli
