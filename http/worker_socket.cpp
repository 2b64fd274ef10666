#include "http/worker_socket.hpp"

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

constexpr std::chrono::seconds handshake_time{10};
constexpr std::chrono::seconds idle_time{60}; // A ping is asked for after half of it.

/// What the socket asks of its transport, which is plain or TLS.
class wire {
public:
  virtual ~wire() = default;
  using done = std::function<void(const error_code&)>;
  virtual void accept(const beast::http::request<beast::http::empty_body>& request, done then) = 0;
  virtual void read(beast::flat_buffer& into, done then) = 0;
  virtual void write(std::string_view text, done then) = 0;
  virtual void close(websocket::close_reason why, done then) = 0;
  virtual void cut() = 0;
  virtual bool text() const = 0;
};

template <class Stream>
class wire_over final : public wire {
public:
  explicit wire_over(Stream&& next) : stream_(std::move(next)) {
    stream_.set_option(websocket::stream_base::timeout{handshake_time, idle_time, true});
    stream_.read_message_max(harness::max_worker_message_bytes);
    stream_.text(true);
  }
  void accept(const beast::http::request<beast::http::empty_body>& request, done then) override {
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

class worker_socket final : public upgraded_connection,
                            public worker_session::carrier,
                            public std::enable_shared_from_this<worker_socket> {
public:
  worker_socket(upgrade_request request, std::shared_ptr<worker_session> session)
      : session_(std::move(session)) {
    request_.method(beast::http::verb::get);
    request_.version(11);
    request_.target(request.target);
    for (const auto& [name, value] : request.fields)
      request_.insert(name, value);
    request_.set("Runledger-Request-Id", request.id);
  }

  void take(tcp_socket&& socket) override {
    begin(std::make_unique<wire_over<tcp_socket>>(std::move(socket)));
  }
  void take(net::ssl::stream<tcp_socket>&& stream) override {
    begin(std::make_unique<wire_over<net::ssl::stream<tcp_socket>>>(std::move(stream)));
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
    if (unsent_ > worker_link::undelivered_max)
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
  void begin(std::unique_ptr<wire> over) {
    wire_ = std::move(over);
    session_->carried_by(*this);
    wire_->accept(request_, [self = shared_from_this()](const error_code& ec) {
      if (ec)
        return self->end();
      self->accepted_ = true;
      self->write_next();
      self->read_next();
    });
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
      self->session_->note_unsent();
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
    session_->over();
    if (auto over = std::exchange(on_over, nullptr))
      over();
  }

  beast::http::request<beast::http::empty_body> request_;
  std::shared_ptr<worker_session> session_;
  std::unique_ptr<wire> wire_;
  beast::flat_buffer in_;
  std::deque<std::string> out_;
  std::size_t unsent_ = 0;
  std::optional<websocket::close_reason> closing_;
  bool accepted_ = false, reading_ = false, writing_ = false, close_sent_ = false, ended_ = false;
};

} // namespace

std::shared_ptr<upgraded_connection> make_worker_socket(upgrade_request request,
                                                        std::shared_ptr<worker_session> session) {
  return std::make_shared<worker_socket>(std::move(request), std::move(session));
}

} // namespace runledger::http
