#pragma once

#include "http/net.hpp"
#include "http/server.hpp"

#include <memory>
#include <string>

namespace runledger::http {

struct edge;

/// One listening socket. Accepts while it is open and counts connections against the limits. HTTP
/// thread only.
class listener : public std::enable_shared_from_this<listener> {
public:
  /// Binds and listens; throws boost::system::system_error. `tls` null: plain HTTP.
  listener(edge& owner, const std::string& address, std::uint16_t port, const tls_files* tls);
  ~listener();

  void start();
  void stop();
  std::uint16_t port() const;

private:
  struct security;
  using acceptor = net::basic_socket_acceptor<tcp, net::io_context::executor_type>;
  void accept_next();
  void admit(tcp_socket socket, const tcp::endpoint& peer);
  void pause();

  edge& edge_;
  acceptor acceptor_;
  net::steady_timer retry_;
  std::unique_ptr<security> security_;
};

} // namespace runledger::http
