#include "http/listener.hpp"

#include "http/connection.hpp"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>

#include <cerrno>
#include <sys/socket.h>

namespace runledger::http {
namespace {

namespace ssl = boost::asio::ssl;

constexpr std::chrono::milliseconds accept_pause{100};
// Connections that are only told that there are too many. Beyond: closed without a word, because
// telling costs memory, and over TLS the most expensive part of a connection.
constexpr std::size_t max_refusing = 256;
constexpr std::size_t max_refusing_tls = 32;

/// HTTP over a bare socket.
class plain_connection final : public connection {
public:
  plain_connection(edge& owner, const address& peer, admission how, tcp_socket socket)
      : connection(owner, peer, how), socket_(std::move(socket)) {}

private:
  void start_handshake() override { ready(); }
  void read_some(char* to, std::size_t room) override {
    socket_.async_read_some(net::buffer(to, room),
                            [this, self = shared_from_this()](const error_code& ec, std::size_t n) {
                              read_done(ec, n);
                            });
  }
  long try_write(std::string_view bytes) override {
    for (;;) {
      const auto n =
          ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n >= 0)
        return n;
      if (errno != EINTR)
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -1;
    }
  }
  void write_some(std::string_view bytes) override {
    socket_.async_write_some(net::buffer(bytes.data(), bytes.size()),
                             [this, self = shared_from_this()](
                                 const error_code& ec, std::size_t n) { write_done(ec, n); });
  }
  void end_sending() override {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
  }
  void close_socket() override {
    error_code ignored;
    socket_.close(ignored);
  }
  void give_socket(upgraded_connection& to) override { to.take(std::move(socket_)); }

  tcp_socket socket_;
};

/// HTTP over TLS.
class tls_connection final : public connection {
public:
  tls_connection(edge& owner, const address& peer, admission how, tcp_socket socket,
                 ssl::context& context)
      : connection(owner, peer, how), stream_(std::move(socket), context) {}

private:
  void start_handshake() override {
    stream_.async_handshake(ssl::stream_base::server,
                            [this, self = shared_from_this()](const error_code& ec) {
                              if (ec)
                                abort();
                              else
                                ready();
                            });
  }
  void read_some(char* to, std::size_t room) override {
    stream_.async_read_some(net::buffer(to, room),
                            [this, self = shared_from_this()](const error_code& ec, std::size_t n) {
                              read_done(ec, n);
                            });
  }
  long try_write(std::string_view) override { return 0; } // TLS records need the asynchronous way.
  void write_some(std::string_view bytes) override {
    stream_.async_write_some(net::buffer(bytes.data(), bytes.size()),
                             [this, self = shared_from_this()](
                                 const error_code& ec, std::size_t n) { write_done(ec, n); });
  }
  void end_sending() override {
    // The close_notify and the end of the stream; a client that never answers meets the linger
    // deadline.
    stream_.async_shutdown([self = shared_from_this()](const error_code&) {});
  }
  void close_socket() override {
    error_code ignored;
    stream_.next_layer().close(ignored);
  }
  void give_socket(upgraded_connection& to) override { to.take(std::move(stream_)); }

  ssl::stream<tcp_socket> stream_;
};

} // namespace

struct listener::security {
  ssl::context context{ssl::context::tls_server};
};

listener::listener(edge& owner, const std::string& address, std::uint16_t port,
                   const tls_files* tls)
    : edge_(owner), acceptor_(owner.io.get_executor()), retry_(owner.io) {
  if (tls != nullptr) {
    security_ = std::make_unique<security>();
    auto& context = security_->context;
    context.set_options(ssl::context::default_workarounds | ssl::context::no_sslv2
                        | ssl::context::no_sslv3 | ssl::context::no_tlsv1 | ssl::context::no_tlsv1_1
                        | ssl::context::no_compression);
    context.use_certificate_chain_file(tls->certificate);
    context.use_private_key_file(tls->key, ssl::context::pem);
  }
  const tcp::endpoint where{net::ip::make_address(address), port};
  acceptor_.open(where.protocol());
  acceptor_.set_option(net::socket_base::reuse_address(true));
  acceptor_.bind(where);
  acceptor_.listen(net::socket_base::max_listen_connections);
}

listener::~listener() = default;

std::uint16_t listener::port() const {
  return acceptor_.local_endpoint().port();
}

void listener::start() {
  accept_next();
}

/// Who has connected by now is accepted: the kernel would reset those connections.
void listener::stop() {
  error_code ignored;
  acceptor_.non_blocking(true, ignored);
  for (;;) {
    error_code none;
    tcp::endpoint peer;
    tcp_socket socket{edge_.io.get_executor()};
    acceptor_.accept(socket, peer, none);
    if (none)
      break;
    admit(std::move(socket), peer);
  }
  acceptor_.close(ignored);
  retry_.cancel();
}

void listener::accept_next() {
  acceptor_.async_accept([self = shared_from_this()](const error_code& ec, tcp_socket socket) {
    if (!self->acceptor_.is_open())
      return;
    if (!ec) {
      error_code gone;
      const auto peer = socket.remote_endpoint(gone);
      if (!gone)
        self->admit(std::move(socket), peer);
      return self->accept_next();
    }
    ++self->edge_.figures.accept_errors;
    if (ec == net::error::connection_aborted)
      return self->accept_next();
    if (self->edge_.complain)
      self->edge_.complain("accept: " + ec.message());
    self->pause();
  });
}

/// Out of file descriptors or memory: trying at once again would only burn the processor.
void listener::pause() {
  retry_.expires_after(accept_pause);
  retry_.async_wait([self = shared_from_this()](const error_code& ec) {
    if (!ec && self->acceptor_.is_open())
      self->accept_next();
  });
}

void listener::admit(tcp_socket socket, const tcp::endpoint& peer) {
  auto& figures = edge_.figures;
  ++figures.connections_accepted;
  auto how = connection::admission::served;
  if (figures.connections_open >= edge_.bounds.max_connections) {
    how = connection::admission::over_total;
    ++figures.refused_over_total;
  } else if (!edge_.proxies.trusts(peer.address())
             && !edge_.take_place(client_key(peer.address()))) {
    how = connection::admission::over_address;
    ++figures.refused_over_address;
  }
  if (how != connection::admission::served
      && edge_.refusing >= (security_ ? max_refusing_tls : max_refusing)) {
    ++figures.dropped_over_limit;
    return; // The socket closes itself.
  }
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  std::shared_ptr<connection> made;
  if (security_)
    made = std::make_shared<tls_connection>(edge_, peer.address(), how, std::move(socket),
                                            security_->context);
  else
    made = std::make_shared<plain_connection>(edge_, peer.address(), how, std::move(socket));
  made->open();
}

} // namespace runledger::http
