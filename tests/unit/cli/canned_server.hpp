#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace runledger::cli {

/// A server on loopback that answers each connection's one request with the next prepared bytes and
/// closes. What it was asked is kept. It ends with the object.
class canned_server {
public:
  explicit canned_server(std::vector<std::string> answers);
  ~canned_server();
  canned_server(const canned_server&) = delete;
  canned_server& operator=(const canned_server&) = delete;

  std::string url() const;
  /// The requests so far, head and body, in their order.
  std::vector<std::string> requests() const;

private:
  void serve();

  std::vector<std::string> answers_;
  int listener_ = -1;
  unsigned short port_ = 0;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::vector<int> silent_; // Connections that are kept open without an answer.
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

constexpr std::string_view silence = "(silence)";

/// A whole answer with its length.
std::string answer(int status, std::string_view body, std::string_view more_fields = "");
/// The head of a stream of server-sent events, then `events`.
std::string event_stream(std::string_view events);
/// The value of a header field of a kept request; empty if absent.
std::string field_of(const std::string& request, std::string_view name);

} // namespace runledger::cli
