#pragma once

#include "cli/client.hpp"

#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace runledger::cli {

/// A worker's WebSocket to a server. All calls and callbacks on the thread that runs the
/// io_context.
class worker_wire {
public:
  struct events {
    std::function<void()> opened;
    std::function<void(std::string_view message)> message;
    /// Last call. `status`: of the server's answer where it refused the WebSocket, else 0.
    std::function<void(std::string why, unsigned status)> closed;
  };

  virtual ~worker_wire() = default;
  /// One text message, in the order of the calls.
  virtual void send(std::string message) = 0;
  /// Bytes that were sent and not taken yet.
  virtual std::size_t unsent() const = 0;
  /// Says goodbye when everything is out; closed() follows.
  virtual void close() = 0;
  /// Ends at once; no event follows.
  virtual void drop() = 0;
};

/// Begins to connect; an event tells how it goes.
std::shared_ptr<worker_wire> connect_worker(boost::asio::io_context& loop,
                                            const server_address& server, const std::string& key,
                                            worker_wire::events events);

} // namespace runledger::cli
