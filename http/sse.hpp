#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>

namespace runledger::http {

class connection;

/// Settings of one event stream.
struct sse_options {
  /// The hint `retry:` for the client's next attempt; zero: none.
  std::chrono::milliseconds retry{1000};
};

/// The sending end of one event stream (`text/event-stream`). HTTP thread only; move-only. The
/// server adds a comment line every 10 s (see limits). Destroying the handle closes the stream as
/// close() does.
class sse_stream {
public:
  sse_stream() = default;
  sse_stream(sse_stream&& other) noexcept;
  sse_stream& operator=(sse_stream&& other) noexcept;
  ~sse_stream();

  /// Queues one event. An empty `id` or `event` leaves its line out; `data` may hold line ends.
  /// False: the stream is over, because the client left, the server drains, or what the client had
  /// not read before exceeds the limit (it is then disconnected, and resumes after the last id it
  /// got). So at most the limit and one event wait.
  bool send(std::string_view id, std::string_view event, std::string_view data);
  /// Queues a comment line.
  bool comment(std::string_view text);
  /// Ends the stream after what was queued is sent. The callbacks are dropped.
  void close();
  /// False as soon as the stream is over for any reason.
  bool is_open() const;
  /// Bytes queued and not yet taken by the socket.
  std::size_t buffered() const;
  /// Called once if the stream ends by anything but close(); never from inside send().
  void on_close(std::function<void()> callback);
  /// Called once, as soon as the queue is under a quarter of the limit; never from inside this
  /// call. Set it again for the next page.
  void when_writable(std::function<void()> callback);

private:
  friend class reply;
  friend class connection;
  sse_stream(std::shared_ptr<connection> to, std::uint64_t serial)
      : to_(std::move(to)), serial_(serial) {}

  std::shared_ptr<connection> to_;
  std::uint64_t serial_ = 0;
};

} // namespace runledger::http
