#include "cli/worker_wire.hpp"

#include "actors/harness/worker_protocol.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <boost/beast/websocket/ssl.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <chrono>
#include <deque>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using error_code = boost::system::error_code;
using plain_stream = websocket::stream<beast::tcp_stream, false>;
using tls_stream = websocket::stream<beast::ssl_stream<beast::tcp_stream>, false>;

constexpr std::chrono::seconds connect_time{10};
constexpr std::chrono::seconds idle_time{30};
constexpr std::size_t message_max = 16U << 20;

template <class Stream>
class wire_over final : public worker_wire, public std::enable_shared_from_this<wire_over<Stream>> {
public:
  template <class... Arguments>
  wire_over(asio::io_context& loop, server_address server, std::string key, events tell,
            Arguments&&... arguments)
      : server_(std::move(server)),
        key_(std::move(key)),
        tell_(std::move(tell)),
        resolver_(loop),
        stream_(loop, std::forward<Arguments>(arguments)...) {}

  void start() {
    resolver_.async_resolve(server_.host, std::to_string(server_.port),
                            [self = this->shared_from_this()](const error_code& ec, auto found) {
                              if (ec)
                                return self->fail(ec);
                              self->lowest().expires_after(connect_time);
                              self->lowest().async_connect(found,
                                                           [self](const error_code& failed, auto) {
                                                             if (failed)
                                                               return self->fail(failed);
                                                             self->secure();
                                                           });
                            });
  }

  void send(std::string message) override {
    if (ended_)
      return;
    unsent_ += message.size();
    out_.push_back(std::move(message));
    write_next();
  }
  std::size_t unsent() const override { return unsent_; }
  void close() override {
    closing_ = true;
    write_next();
  }
  void drop() override {
    ended_ = true;
    error_code ignored;
    lowest().socket().close(ignored);
  }

private:
  beast::tcp_stream& lowest() { return beast::get_lowest_layer(stream_); }

  void secure() {
    if constexpr (std::is_same_v<Stream, tls_stream>) {
      lowest().expires_after(connect_time);
      SSL_set_tlsext_host_name(stream_.next_layer().native_handle(), server_.host.c_str());
      stream_.next_layer().async_handshake(asio::ssl::stream_base::client,
                                           [self = this->shared_from_this()](const error_code& ec) {
                                             if (ec)
                                               return self->fail(ec);
                                             self->greet();
                                           });
    } else {
      greet();
    }
  }

  void greet() {
    lowest().expires_never();
    stream_.set_option(websocket::stream_base::timeout{connect_time, idle_time, true});
    stream_.set_option(
        websocket::stream_base::decorator([key = key_](websocket::request_type& request) {
          request.set(beast::http::field::user_agent, "runledger");
          if (!key.empty())
            request.set(beast::http::field::authorization, "Bearer " + key);
        }));
    stream_.read_message_max(message_max);
    stream_.text(true);
    const auto host = server_.host.find(':') == std::string::npos
                          ? server_.host
                          : fmt::format("[{}]", server_.host);
    stream_.async_handshake(answer_, fmt::format("{}:{}", host, server_.port),
                            server_.base + "/api/v1/workers/connect",
                            [self = this->shared_from_this()](const error_code& ec) {
                              if (ec)
                                return self->fail(ec);
                              self->open_ = true;
                              self->tell_.opened();
                              self->write_next();
                              self->read_next();
                            });
  }

  void read_next() {
    if (ended_)
      return;
    stream_.async_read(in_, [self = this->shared_from_this()](const error_code& ec, std::size_t) {
      if (ec)
        return self->fail(ec);
      const auto bytes = self->in_.data();
      if (!self->ended_)
        self->tell_.message({static_cast<const char*>(bytes.data()), bytes.size()});
      self->in_.clear();
      self->read_next();
    });
  }

  void write_next() {
    if (!open_ || writing_ || ended_)
      return;
    if (out_.empty()) {
      if (closing_ && !std::exchange(close_sent_, true))
        stream_.async_close(
            websocket::close_code::normal,
            [self = this->shared_from_this()](const error_code& ec) { self->fail(ec); });
      return;
    }
    writing_ = true;
    stream_.async_write(asio::buffer(out_.front()),
                        [self = this->shared_from_this()](const error_code& ec, std::size_t) {
                          self->writing_ = false;
                          if (ec)
                            return self->fail(ec);
                          self->unsent_ -= self->out_.front().size();
                          self->out_.pop_front();
                          self->write_next();
                        });
  }

  void fail(const error_code& ec) {
    if (std::exchange(ended_, true))
      return;
    error_code ignored;
    lowest().socket().close(ignored);
    std::string why = ec ? ec.message() : "closed";
    unsigned status = 0;
    if (ec == websocket::error::closed) {
      const auto reason = stream_.reason().reason;
      why = reason.empty() ? "the server closed the connection" : std::string{reason.c_str()};
    } else if (ec == websocket::error::upgrade_declined) {
      status = answer_.result_int();
      why = fmt::format("the server answered {}", status);
    }
    tell_.closed(std::move(why), status);
  }

  const server_address server_;
  const std::string key_;
  events tell_;
  asio::ip::tcp::resolver resolver_;
  Stream stream_;
  websocket::response_type answer_;
  beast::flat_buffer in_;
  std::deque<std::string> out_;
  std::size_t unsent_ = 0;
  bool open_ = false, writing_ = false, closing_ = false, close_sent_ = false, ended_ = false;
};

asio::ssl::context& trust() {
  static asio::ssl::context context = [] {
    asio::ssl::context made{asio::ssl::context::tls_client};
    error_code ignored;
    made.set_default_verify_paths(ignored);
    made.set_verify_mode(asio::ssl::verify_peer, ignored);
    return made;
  }();
  return context;
}

} // namespace

std::shared_ptr<worker_wire> connect_worker(boost::asio::io_context& loop,
                                            const server_address& server, const std::string& key,
                                            worker_wire::events events) {
  if (!server.tls) {
    auto made = std::make_shared<wire_over<plain_stream>>(loop, server, key, std::move(events));
    made->start();
    return made;
  }
  error_code ignored;
  trust().set_verify_callback(asio::ssl::host_name_verification{server.host}, ignored);
  auto made =
      std::make_shared<wire_over<tls_stream>>(loop, server, key, std::move(events), trust());
  made->start();
  return made;
}

} // namespace runledger::cli
