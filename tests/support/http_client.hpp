#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace runledger::test {

using header_list = std::vector<std::pair<std::string, std::string>>;

/// One answer. Status 0: none came whole before the connection ended or the time was up, so what
/// became of the request is not known.
struct http_answer {
  int status = 0;
  bool sent = false; ///< There was a connection, and the request went out, at least in part.
  std::map<std::string, std::string> headers; ///< Names in lower case; the last of equal ones.
  std::string body;                           ///< Chunked ones decoded.

  /// Empty: not there.
  std::string header(const std::string& name) const;
  /// The text of the string or number at a path of names and indexes such as `error.code` or
  /// `runs.0.id`, strings unescaped, everything else as written; empty: not there or no JSON.
  std::string operator[](std::string_view path) const;
};

/// The same for any JSON text.
std::string json_at(std::string_view json, std::string_view path);
/// The elements of a JSON array as they are written.
std::vector<std::string> json_elements(std::string_view json);
/// `text` as a JSON string with its quotes.
std::string json_quoted(std::string_view text);

/// A synchronous HTTP/1.1 client on loopback that keeps its connection. It never sends a request
/// twice: on a connection that the server has closed meanwhile it connects anew before it sends.
/// One thread at a time.
class http_client {
public:
  /// `key`: sent as a bearer token; empty: none.
  explicit http_client(std::uint16_t port, std::string key = {});
  ~http_client();
  http_client(const http_client&) = delete;
  http_client& operator=(const http_client&) = delete;

  /// Called with every answer that any client of this process gets, on that client's thread. Set it
  /// before the first request.
  using watcher = void (*)(std::string_view method, std::string_view target, const http_answer&);
  static void watch(watcher one) { watcher_ = one; }

  /// The time for one whole answer, 20 s at first.
  void patience(std::chrono::milliseconds at_most) { patience_ = at_most; }
  /// Ends the connection; the next request goes to `port`.
  void move_to(std::uint16_t port);
  /// Connections from now on come from this address of loopback.
  void come_from(std::string address) { from_ = std::move(address); }

  /// A body that is not empty goes out as application/json, unless `more` names another type.
  http_answer ask(std::string_view method, std::string_view target, std::string_view body = {},
                  const header_list& more = {});
  http_answer get(std::string_view target, const header_list& more = {}) {
    return ask("GET", target, {}, more);
  }
  http_answer post(std::string_view target, std::string_view body, const header_list& more = {}) {
    return ask("POST", target, body, more);
  }

private:
  using deadline = std::chrono::steady_clock::time_point;
  bool connect(deadline until);
  bool still_open();
  bool send_all(std::string_view bytes, deadline until);
  bool fill(deadline until);
  bool read_line(std::string& line, deadline until);
  bool read_exactly(std::size_t count, std::string& to, deadline until);
  bool read_chunks(std::string& to, deadline until);
  bool read_body(http_answer& answer, bool bodiless, deadline until);
  http_answer read_answer(bool bodiless, deadline until);
  void close();

  static inline watcher watcher_ = nullptr;
  std::uint16_t port_;
  std::string key_, from_;
  std::chrono::milliseconds patience_ = std::chrono::seconds{20};
  int fd_ = -1;
  std::string pending_; // Read and not taken yet.
};

} // namespace runledger::test
