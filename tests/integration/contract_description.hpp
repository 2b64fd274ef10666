#pragma once

#include "events/json.hpp"
#include "tests/support/http_client.hpp"

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

/// The API's description held against the answers: what a test gets must be what it says.
namespace runledger::contract {

/// http/openapi.json, as it is compiled in. Any thread.
class description {
public:
  static description& of_the_api();

  /// What is wrong with the answer to a request: an operation or status that the description does
  /// not know, another media type, a body that does not fit. A member that it does not name is
  /// wrong too, so that it stays complete. Remembers successes.
  std::vector<std::string> problems(std::string_view method, std::string_view target,
                                    const test::http_answer& answer);

  /// `operationId status media/type` of every success that was seen.
  std::set<std::string> seen() const;
  /// The same for every success that is described.
  std::set<std::string> described() const;

private:
  description();
  struct found {
    std::optional<json::value> operation; ///< None: no such path, or no such method.
    bool path_known = false;
  };
  found find(std::string_view method, std::string_view path) const;
  json::value resolved(json::value v) const;
  void check_body(const json::value& content, const test::http_answer& answer,
                  std::vector<std::string>& out);
  /// A schema that stands alone, closed against members that it does not name.
  std::string standalone(const json::value& schema) const;
  std::string component(std::string_view name) const;
  void fit(const std::string& schema, std::string_view body, std::vector<std::string>& out);

  json::document document_;
  std::string definitions_; ///< All components' schemas, for standalone().
  mutable std::mutex lock_;
  std::set<std::string> seen_;
  std::set<std::string> checked_; ///< Schemas whose every keyword is known to be checked.
};

} // namespace runledger::contract
