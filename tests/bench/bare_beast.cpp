// The baseline of the HTTP figures: the least that Boost.Beast can do. One thread, callbacks,
// keep-alive, no limits, no routing; every request gets the same small JSON answer.
//
//   bare_beast --port 18081 --seconds 30     (port 0: any free one, printed on the first line)

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using tcp = net::ip::tcp;
using socket_type = net::basic_stream_socket<tcp, net::io_context::executor_type>;

/// One client: read, answer, again.
class session : public std::enable_shared_from_this<session> {
public:
  explicit session(socket_type socket) : socket_(std::move(socket)) {}

  void read() {
    request_ = {};
    http::async_read(socket_, buffer_, request_,
                     [self = shared_from_this()](beast::error_code ec, std::size_t) {
                       if (!ec)
                         self->answer();
                     });
  }

private:
  void answer() {
    response_ = {http::status::ok, request_.version()};
    response_.set(http::field::server, "bare");
    response_.set(http::field::content_type, "application/json");
    response_.keep_alive(request_.keep_alive());
    response_.body() = R"({"status":"ok"})";
    response_.prepare_payload();
    http::async_write(socket_, response_,
                      [self = shared_from_this()](beast::error_code ec, std::size_t) {
                        if (!ec && self->request_.keep_alive())
                          self->read();
                      });
  }

  socket_type socket_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> response_;
};

using acceptor_type = net::basic_socket_acceptor<tcp, net::io_context::executor_type>;

void accept(acceptor_type& acceptor) {
  acceptor.async_accept([&acceptor](beast::error_code ec, socket_type socket) {
    if (!ec) {
      socket.set_option(tcp::no_delay(true), ec);
      std::make_shared<session>(std::move(socket))->read();
    }
    if (acceptor.is_open())
      accept(acceptor);
  });
}

} // namespace

int main(int argc, char** argv) {
  unsigned short port = 0;
  int seconds = 30;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (argv[i] == std::string_view{"--port"})
      port = static_cast<unsigned short>(std::atoi(argv[i + 1]));
    else if (argv[i] == std::string_view{"--seconds"})
      seconds = std::atoi(argv[i + 1]);
  }
  net::io_context io{1};
  acceptor_type acceptor{io.get_executor(), tcp::endpoint{net::ip::address_v4::loopback(), port}};
  std::printf("listening on %u\n", acceptor.local_endpoint().port());
  std::fflush(stdout);
  accept(acceptor);
  net::steady_timer end{io, std::chrono::seconds{seconds}};
  end.async_wait([&io](beast::error_code) { io.stop(); });
  io.run();
}
