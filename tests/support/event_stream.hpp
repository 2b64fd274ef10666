#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace runledger::test {

/// One item of an event stream; `comment` is true for a line that begins with a colon.
struct stream_item {
  std::string id, event, data;
  bool comment = false;
};

/// A client of a text/event-stream over HTTP/1.1 on loopback. One thread.
class event_stream {
public:
  /// Asks at once; `more` are further header lines, each with its CR LF.
  event_stream(std::uint16_t port, const std::string& key, const std::string& target,
               const std::string& more = {});
  ~event_stream();
  event_stream(const event_stream&) = delete;
  event_stream& operator=(const event_stream&) = delete;

  /// The next item; nothing at the end of the stream or when the time is up: see ended().
  std::optional<stream_item> next(std::chrono::milliseconds at_most = std::chrono::seconds{20});
  /// Whether the server ended the stream, as it should: with its last chunk.
  bool ended() const { return finished_; }
  /// Whether the connection is gone.
  bool closed() const { return closed_; }
  /// The status of the answer; 0: none came.
  int status();

private:
  bool fill(std::chrono::steady_clock::time_point until);
  bool take_head(std::chrono::steady_clock::time_point until);
  void take_chunks();

  int fd_ = -1;
  int status_ = 0;
  bool finished_ = false, closed_ = false;
  std::string raw_, text_; // What came, and of that the unchunked body.
};

} // namespace runledger::test
