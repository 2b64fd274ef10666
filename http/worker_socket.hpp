#pragma once

#include "http/message_user.hpp"
#include "http/net.hpp"
#include "http/upgraded_connection.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace boost::asio::ssl {
class context;
}

namespace runledger::http {

/// Bounds of a connection that carries messages; beyond them it is cut.
struct message_bounds {
  std::size_t message = 0;                    ///< Bytes of one from the other side.
  std::size_t unsent = std::size_t{64} << 20; ///< Bytes for another side that does not read.
  /// Without a sign of life; half of it, and one is asked for.
  std::chrono::seconds silence{60};
};

/// The request that asks for a WebSocket, to be answered with 101.
struct upgrade_request {
  std::string target;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string id; ///< As its answer names it.
};

/// Carries messages over a WebSocket (RFC 6455, by Beast).
std::shared_ptr<upgraded_connection> make_worker_socket(upgrade_request request,
                                                        std::shared_ptr<message_user> session,
                                                        message_bounds bounds);

/// Opens one to another server, at `url` (`http://host:port`, or https: then `trust`, which
/// outlives it, says whose certificates are believed). Messages that are sent before it is open
/// wait; over() follows if that does not succeed.
void open_worker_socket(net::io_context& io, const std::string& url, upgrade_request request,
                        std::shared_ptr<message_user> session, message_bounds bounds,
                        net::ssl::context& trust);

} // namespace runledger::http
