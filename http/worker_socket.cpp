#include "http/worker_socket.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>

#include <chrono>
#include <deque>
#include <optional>

namespace runledger::http {

namespace {

namespace beast = boost::beast;
namespace websocket = beast::websocket;

using upgrade_head = beast::http::request<beast::http::empty_body>;

constexpr std::chrono::seconds handshake_time{10};

/// What the socket asks of its transport, which is plain or TLS.
class wire {
public:
  virtual ~wire() = default;
  using done = std::function<void(const error_code&)>;
  virtual void accept(const upgrade_head& request, done then) = 0;
  /// As a client, on a transport that is connected.
  virtual void ask(const std::string& host, const upgrade_head& request, done then) = 0;
  virtual void read(beast::flat_buffer& into, done then) = 0;
  virtual void write(std::string_view text, done then) = 0;
  virtual void close(websocket::close_reason why, done then) = 0;
  virtual void cut() = 0;
  virtual bool text() const = 0;
};

template <class Stream>
class wire_over final : public wire {
public:
  wire_over(Stream&& next, const message_bounds& bounds) : stream_(std::move(next)) {
    stream_.set_option(websocket::stream_base::timeout{handshake_time, bounds.silence, true});
    stream_.read_message_max(bounds.message);
    stream_.text(true);
  }
  void ask(const std::string& host, const upgrade_head& request, done then) override {
    stream_.set_option(websocket::stream_base::decorator([request](websocket::request_type& asked) {
      for (const auto& field : request)
        asked.set(field.name_string(), field.value());
    }));
    stream_.async_handshake(host, std::string{request.target()}, std::move(then));
  }
  void accept(const upgrade_head& request, done then) override {
    stream_.set_option(websocket::stream_base::decorator(
        [id = std::string{request["Runledger-Request-Id"]}](websocket::response_type& answer) {
          answer.set(beast::http::field::server, "runledger");
          answer.set("Runledger-Request-Id", id);
        }));
    stream_.async_accept(request, std::move(then));
  }
  void read(beast::flat_buffer& into, done then) override {
    stream_.async_read(into,
                       [then = std::move(then)](const error_code& ec, std::size_t) { then(ec); });
  }
  void write(std::string_view text, done then) override {
    stream_.async_write(net::buffer(text.data(), text.size()),
                        [then = std::move(then)](const error_code& ec, std::size_t) { then(ec); });
  }
  void close(websocket::close_reason why, done then) override {
    stream_.async_close(why, std::move(then));
  }
  void cut() override {
    error_code ignored;
    beast::get_lowest_layer(stream_).close(ignored);
  }
  bool text() const override { return stream_.got_text(); }

private:
  websocket::stream<Stream, false> stream_;
};

struct server_place {
  std::string both, host, port;
  bool tls = false;
};
/// Of `http://host:port` or https; an address of version 6 stands in brackets.
std::optional<server_place> server_at(std::string_view url) {
  constexpr std::string_view plain{"http://"}, secret{"https://"};
  const bool tls = url.starts_with(secret);
  if (!tls && !url.starts_with(plain))
    return std::nullopt;
  url.remove_prefix(tls ? secret.size() : plain.size());
  const auto colon = url.rfind(':');
  if (colon == url.npos || colon == 0)
    return std::nullopt;
  auto host = url.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  return server_place{std::string{url}, std::string{host}, std::string{url.substr(colon + 1)}, tls};
}

class worker_socket final : public upgraded_connection,
                            public message_carrier,
                            public std::enable_shared_from_this<worker_socket> {
public:
  worker_socket(upgrade_request request, std::shared_ptr<message_user> session,
                message_bounds bounds)
      : session_(std::move(session)), bounds_(bounds) {
    request_.method(beast::http::verb::get);
    request_.version(11);
    request_.target(request.target);
    for (const auto& [name, value] : request.fields)
      request_.insert(name, value);
    request_.set("Runledger-Request-Id", request.id);
  }

  /// As a client.
  void open(net::io_context& io, const std::string& url, net::ssl::context& trust) {
    session_->carried_by(*this);
    const auto place = server_at(url);
    if (!place)
      return net::post(io, [self = shared_from_this()] { self->end(); });
    host_ = place->both;
    if (place->tls)
      trust_ = &trust;
    connecting_ = std::make_unique<connecting>(io);
    auto& way = *connecting_;
    way.name = place->host;
    way.deadline.expires_after(handshake_time);
    way.deadline.async_wait([self = shared_from_this()](const error_code& ec) {
      if (!ec && self->connecting_)
        self->end();
    });
    way.resolver.async_resolve(
        place->host, place->port,
        [self = shared_from_this()](const error_code& ec,
                                    const tcp::resolver::results_type& found) {
          if (ec || self->ended_)
            return self->end();
          net::async_connect(
              self->connecting_->socket, found,
              [self](const error_code& failed, const tcp::endpoint&) { self->connected(failed); });
        });
  }

  void take(tcp_socket&& socket) override {
    begin(std::make_unique<wire_over<tcp_socket>>(std::move(socket), bounds_));
  }
  void take(net::ssl::stream<tcp_socket>&& stream) override {
    begin(std::make_unique<wire_over<net::ssl::stream<tcp_socket>>>(std::move(stream), bounds_));
  }
  void drain() override { close_with(websocket::close_code::going_away, "the server ends"); }
  void abort() override {
    on_over = nullptr;
    end();
  }

  void send(std::string message) override {
    if (closing_ || ended_)
      return;
    unsent_ += message.size();
    if (unsent_ > bounds_.unsent)
      return end();
    out_.push_back(std::move(message));
    write_next();
  }
  void close(std::string reason) override {
    close_with(websocket::close_code::policy_error, std::move(reason));
  }
  void go_on() override { read_next(); }
  std::size_t unsent() const override { return unsent_; }

private:
  /// Of a client, until it is connected.
  struct connecting {
    explicit connecting(net::io_context& io) : resolver(io), socket(io), deadline(io) {}
    tcp::resolver resolver;
    tcp_socket socket;
    net::steady_timer deadline;
    std::string name;
    std::optional<net::ssl::stream<tcp_socket>> tls;

    void cut() {
      error_code ignored;
      resolver.cancel();
      deadline.cancel();
      (tls ? tls->next_layer() : socket).close(ignored);
    }
  };

  void connected(const error_code& ec) {
    if (ec || ended_)
      return end();
    error_code ignored;
    connecting_->socket.set_option(tcp::no_delay{true}, ignored);
    if (trust_ != nullptr)
      return shake_hands();
    ask(std::make_unique<wire_over<tcp_socket>>(std::move(connecting_->socket), bounds_));
  }
  /// The name that the certificate has to bear is the one that was asked for.
  void shake_hands() {
    auto& stream = connecting_->tls.emplace(std::move(connecting_->socket), *trust_);
    const auto& name = connecting_->name;
    if (SSL_set_tlsext_host_name(stream.native_handle(), name.c_str()) != 1)
      return end();
    stream.set_verify_callback(net::ssl::host_name_verification(name));
    stream.async_handshake(net::ssl::stream_base::client,
                           [self = shared_from_this()](const error_code& ec) {
                             if (ec || self->ended_)
                               return self->end();
                             self->ask(std::make_unique<wire_over<net::ssl::stream<tcp_socket>>>(
                                 std::move(*self->connecting_->tls), self->bounds_));
                           });
  }
  void ask(std::unique_ptr<wire> over) {
    wire_ = std::move(over);
    connecting_.reset();
    wire_->ask(host_, request_,
               [self = shared_from_this()](const error_code& ec) { self->opened(ec); });
  }
  void opened(const error_code& ec) {
    if (ec || ended_)
      return end();
    accepted_ = true;
    write_next();
    read_next();
  }

  void begin(std::unique_ptr<wire> over) {
    wire_ = std::move(over);
    session_->carried_by(*this);
    wire_->accept(request_,
                  [self = shared_from_this()](const error_code& ec) { self->opened(ec); });
  }

  void read_next() {
    if (reading_ || ended_ || !accepted_)
      return;
    reading_ = true;
    wire_->read(in_, [self = shared_from_this()](const error_code& ec) {
      self->reading_ = false;
      if (ec || self->ended_)
        return self->end();
      self->got_message();
    });
  }

  void got_message() {
    const auto bytes = in_.data();
    const std::string_view text{static_cast<const char*>(bytes.data()), bytes.size()};
    bool more = closing_.has_value();
    if (!closing_ && !wire_->text())
      close_with(websocket::close_code::unknown_data, "text messages are expected");
    else if (!closing_)
      more = session_->take(text);
    in_.clear();
    if (more || closing_) // Until the close is answered; it is read past what comes before.
      read_next();
  }

  void write_next() {
    if (writing_ || ended_ || !accepted_)
      return;
    if (out_.empty()) {
      if (closing_)
        send_close();
      return;
    }
    writing_ = true;
    wire_->write(out_.front(), [self = shared_from_this()](const error_code& ec) {
      self->writing_ = false;
      if (ec || self->ended_)
        return self->end();
      self->unsent_ -= self->out_.front().size();
      self->out_.pop_front();
      self->session_->sent();
      self->write_next();
    });
  }

  void close_with(websocket::close_code code, std::string reason) {
    if (closing_ || ended_)
      return;
    if (reason.size() > 120)
      reason.resize(120);
    closing_.emplace(code, reason);
    write_next();
    read_next();
  }

  void send_close() {
    if (std::exchange(close_sent_, true))
      return;
    wire_->close(*closing_, [self = shared_from_this()](const error_code&) { self->end(); });
  }

  void end() {
    if (std::exchange(ended_, true))
      return;
    auto keep = shared_from_this();
    if (wire_)
      wire_->cut();
    if (connecting_) // Operations that end now still refer to it.
      connecting_->cut();
    session_->over();
    if (auto over = std::exchange(on_over, nullptr))
      over();
  }

  beast::http::request<beast::http::empty_body> request_;
  std::shared_ptr<message_user> session_;
  const message_bounds bounds_;
  std::string host_;
  net::ssl::context* trust_ = nullptr; // Of a client over TLS.
  std::unique_ptr<connecting> connecting_;
  std::unique_ptr<wire> wire_;
  beast::flat_buffer in_;
  std::deque<std::string> out_;
  std::size_t unsent_ = 0;
  std::optional<websocket::close_reason> closing_;
  bool accepted_ = false, reading_ = false, writing_ = false, close_sent_ = false, ended_ = false;
};

} // namespace

std::shared_ptr<upgraded_connection> make_worker_socket(upgrade_request request,
                                                        std::shared_ptr<message_user> session,
                                                        message_bounds bounds) {
  return std::make_shared<worker_socket>(std::move(request), std::move(session), bounds);
}

void open_worker_socket(net::io_context& io, const std::string& url, upgrade_request request,
                        std::shared_ptr<message_user> session, message_bounds bounds,
                        net::ssl::context& trust) {
  std::make_shared<worker_socket>(std::move(request), std::move(session), bounds)
      ->open(io, url, trust);
}

} // namespace runledger::http
