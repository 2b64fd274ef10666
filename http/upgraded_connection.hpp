#pragma once

#include "http/net.hpp"

#include <functional>

namespace boost::asio::ssl {
template <typename Stream>
class stream;
}

namespace runledger::http {

/// What goes on with a connection that does not speak HTTP any more. It keeps its place among the
/// connections (their bounds count it) until it calls `on_over`. HTTP thread only.
class upgraded_connection {
public:
  virtual ~upgraded_connection() = default;
  /// One of these, once, from within the request's handler.
  virtual void take(tcp_socket&& socket) = 0;
  virtual void take(net::ssl::stream<tcp_socket>&& stream) = 0;
  /// The server ends: say goodbye, soon.
  virtual void drain() = 0;
  /// End at once, without on_over.
  virtual void abort() = 0;

  std::function<void()> on_over; ///< To be called once, when it has ended by itself.
};

} // namespace runledger::http
