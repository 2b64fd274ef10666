#pragma once

#include "tests/support/http_client.hpp"
#include "tests/support/server_process.hpp"
#include "tests/support/shell.hpp"
#include "tests/support/temp_folder.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

/// What the tests of the contract share: a real server and an agent that does what it is told.
namespace runledger::contract {

using test::eventually;
using test::header_list;
using test::http_answer;
using test::http_client;
using test::json_at;
using test::json_elements;
using test::json_quoted;

/// Where runs of the agent `told` are started.
inline constexpr const char* run_target = "/api/v1/agents/told/runs";

/// A server on a data folder of its own, with the agents `told` (many runs in one process), `solo`
/// (a process for each run) and `idle` (a draft alone). Their script stands in contract_agent.py.
class world {
public:
  explicit world(std::vector<std::string> flags = {});

  /// False, with a failed test, where it does not come up.
  bool start();
  http_client client() const { return client(key); }
  http_client client(const std::string& with_key) const {
    return http_client{server.port(), with_key};
  }
  /// Lets every script go on that waits for it.
  void open_gate(const std::string& name) const;
  /// A name that no other test of this process got.
  static std::string unique(const std::string& stem);
  /// Makes an agent with this recipe and gives its id.
  std::string make_agent(const std::string& slug, const std::string& recipe) const;
  /// A key with these scopes (`"read","write"`), in `workspace` if there is one named.
  std::string make_key(const std::string& scopes, const std::string& workspace = {}) const;
  /// The id of a new workspace.
  std::string make_workspace() const;

  /// `more`: further members of the recipe, with a comma in front.
  std::string recipe(const std::string& more = {}, bool pooled = false) const;
  /// Starts a script (`[["step","a"]]`) and gives the answer at once.
  http_answer begin(const std::string& script, const std::string& agent = "told") const;
  /// Starts a script and gives the run as it ended.
  http_answer finish(const std::string& script, const std::string& agent = "told") const;
  /// The run as it ended, or as it is after half a minute.
  http_answer end_of(const std::string& run) const;
  /// The session's items, all of them.
  std::vector<std::string> timeline(const std::string& session) const;
  /// How often an event of this type is in the ledger of this stream ("" for any stream).
  int events_of(const std::string& type, const std::string& stream = {}) const;
  /// The streams that have an event of this type, in the order of these in the ledger.
  std::vector<std::string> streams_with(const std::string& type) const;

  test::temp_folder folder;
  test::server_process server;
  std::string key;
};

/// The server that the tests of one process share; nothing in them depends on each other.
world& shared_world();

/// What the product says when it is called with these words.
test::spoken say(const std::string& words);

/// `{"do": SCRIPT}` as a body with initial_state.
std::string script_body(const std::string& script);
/// The names of an object's members in their order, with commas.
std::string member_names(std::string_view json);
/// The elements of an array of objects that have `value` at `path`.
std::vector<std::string> where(const std::vector<std::string>& items, std::string_view path,
                               std::string_view value);
/// One member of each, with commas.
std::string column(const std::vector<std::string>& items, std::string_view path);
/// The target of the `next` link, empty without one.
std::string next_page(const http_answer& page);
/// The whole list, page by page.
std::vector<std::string> all_pages(http_client& client, std::string target);
/// The value of a line of /metrics; -1: not there.
double metric(http_client& client, const std::string& name);

/// Expects a problem document with everything that each one has, and this status and code.
void expect_problem(const http_answer& answer, int status, const std::string& code);
/// Expects a 422 with an error at this place, written as JSON: `["body","name"]`.
void expect_invalid(const http_answer& answer, const std::string& loc);
/// Expects `<prefix>` and 26 characters of a ULID.
void expect_id(const std::string& id, const std::string& prefix);
/// Expects RFC 3339 in UTC with milliseconds.
void expect_time(const std::string& text);

} // namespace runledger::contract
