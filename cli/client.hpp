#pragma once

#include "events/result.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// The commands' way to a server: one connection a call, synchronous, with a time limit on every
/// wait.
namespace runledger::cli {

struct server_address {
  bool tls = false;
  std::string host; // IPv6 without brackets.
  std::uint16_t port = 80;
  std::string base; // Path in front of every target; empty or without a slash at its end.
  std::string url;  // As shown to people.
};

/// `http://127.0.0.1:8080`, `https://host/base`. The error is a sentence.
result<server_address, std::string> parse_server(std::string_view url);

struct http_call {
  std::string method = "GET";
  std::string target; // Path and query, such as /api/v1/runs.
  std::string body;   // JSON; empty: none.
  std::vector<std::pair<std::string, std::string>> fields;
  /// For each wait: connection, next bytes of the answer.
  std::chrono::milliseconds patience = std::chrono::seconds{30};
};

struct http_reply {
  unsigned status = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;

  bool ok() const { return status >= 200 && status < 300; }
  /// A header field by its name in any case; empty if absent.
  std::string field(std::string_view name) const;
};

/// What became of a call without an answer.
enum class trouble : std::uint8_t {
  unreachable, // Nothing was sent.
  lost,        // Sent, perhaps carried out; the answer did not come whole.
};

struct call_failure {
  trouble kind;
  std::string message; // One sentence.
};

/// Talks to one server with one key. Not for use by several threads at a time.
class client {
public:
  /// An empty key sends no Authorization.
  client(server_address server, std::string key)
      : server_(std::move(server)), key_(std::move(key)) {}

  const server_address& server() const { return server_; }

  /// The whole answer. An answer of any status is a success.
  result<http_reply, call_failure> send(const http_call& call) const;

  /// As send(), and hands the body of a 2xx answer on piece by piece; `take` returns false to stop,
  /// which is a success.
  result<http_reply, call_failure> stream(const http_call& call,
                                          const std::function<bool(std::string_view)>& take) const;

private:
  server_address server_;
  std::string key_;
};

} // namespace runledger::cli
