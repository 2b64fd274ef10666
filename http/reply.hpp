#pragma once

#include "http/problem.hpp"
#include "http/sse.hpp"
#include "http/vocabulary.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace runledger::http {

namespace net = boost::asio;

class connection;
class upgraded_connection;

/// An owned file descriptor.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept;
  ~unique_fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

private:
  int fd_ = -1;
};

/// A file as an answer, streamed from disk. The file must not shrink; if it does, the connection
/// breaks off.
struct download {
  unique_fd file;
  std::uint64_t size = 0;
  /// One that cannot stand in a header field is sent as application/octet-stream.
  std::string media_type = "application/octet-stream";
  /// Strong entity tag without the quotes; empty: none.
  std::string etag;
  /// The file's name for `Content-Disposition: attachment`; empty: no such header.
  std::string attachment;
};

/// The duty to answer one request, exactly once. Move-only. Destroyed unfinished, it answers 500.
///
/// Finish it on the HTTP thread: others post to `executor()`. (Destruction is allowed anywhere.)
/// After the request's deadline the edge has answered 503 itself, and what comes later is ignored.
/// The io_context must outlive every reply.
class reply {
public:
  reply(reply&& other) noexcept;
  reply& operator=(reply&& other) noexcept;
  ~reply();

  /// The HTTP thread. Valid for any thread while this reply is alive.
  net::any_io_executor executor() const;
  /// For log lines and error reports.
  std::string_view request_id() const;
  /// False when the client went away, the deadline passed, or this was finished.
  bool is_open() const;
  /// Adds a header field to the answer; control characters in `value` become spaces.
  reply& header(std::string_view name, std::string_view value);
  /// Moves the deadline to `from_now` from now.
  void extend_deadline(std::chrono::milliseconds from_now);
  /// Called once if the client goes away before the answer; at once if it already has. May finish
  /// this reply.
  void on_abandoned(std::function<void()> callback);

  /// Answers with `body` as application/json.
  void json(http::status code, std::string_view body);
  void problem(const http::problem& what);
  void problem(fault why, std::string detail = {});
  /// Answers without a body.
  void empty(http::status code = http::status::no_content);
  void text(http::status code, std::string_view content_type, std::string_view body);
  /// Streams a file: 200, 206 or 416 by Range and If-Range, 304 by If-None-Match, no body for HEAD.
  void file(download what);
  /// Starts an event stream. The stream that comes back is closed at once if nobody listens any
  /// more.
  sse_stream sse(sse_options options = {});
  /// Hands the connection over, which is answered with 101 there; only within the handler's call.
  /// A client that has sent more than its request already is refused.
  void upgrade(std::shared_ptr<upgraded_connection> to);

private:
  friend class connection;
  reply(std::shared_ptr<connection> to, std::uint64_t serial)
      : to_(std::move(to)), serial_(serial) {}
  std::shared_ptr<connection> take();
  void abandon() noexcept;

  std::shared_ptr<connection> to_;
  std::uint64_t serial_ = 0;
};

} // namespace runledger::http
