#include "cli/client.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl/ssl_stream.hpp>
#include <cctype>
#include <charconv>
#include <fmt/format.h>
#include <optional>

namespace runledger::cli {

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace beast_http = beast::http;
using error_code = boost::system::error_code;

/// Starts an asynchronous operation and runs it to its end: only those honour a stream's time
/// limit.
template <class Start>
error_code finish(asio::io_context& loop, Start&& start) {
  error_code outcome;
  start([&outcome](error_code ec, auto&&...) { outcome = ec; });
  loop.restart();
  loop.run();
  return outcome;
}

std::string describe(const error_code& ec) {
  if (ec == beast::error::timeout)
    return "no answer in time";
  if (ec == beast_http::error::end_of_stream || ec == beast_http::error::partial_message
      || ec == asio::error::eof || ec == asio::ssl::error::stream_truncated)
    return "the connection was closed";
  auto text = ec.message();
  if (!text.empty())
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

call_failure unreachable(const server_address& server, std::string_view why) {
  return {trouble::unreachable, fmt::format("cannot reach {}: {}", server.url, why)};
}

beast_http::request<beast_http::string_body>
request_of(const server_address& server, const std::string& key, const http_call& call) {
  beast_http::request<beast_http::string_body> request;
  request.version(11);
  request.method_string(call.method);
  request.target(server.base + call.target);
  const auto host =
      server.host.find(':') == std::string::npos ? server.host : fmt::format("[{}]", server.host);
  request.set(beast_http::field::host, fmt::format("{}:{}", host, server.port));
  request.set(beast_http::field::user_agent, "runledger");
  request.set(beast_http::field::connection, "close");
  if (!key.empty())
    request.set(beast_http::field::authorization, "Bearer " + key);
  for (const auto& [name, value] : call.fields)
    request.set(name, value);
  if (!call.body.empty()) {
    if (request.find(beast_http::field::content_type) == request.end())
      request.set(beast_http::field::content_type, "application/json");
    request.body() = call.body;
  }
  if (!call.body.empty() || call.method != "GET")
    request.prepare_payload();
  return request;
}

/// One call over a connected stream, plain or TLS.
template <class Stream>
class exchange {
public:
  exchange(asio::io_context& loop, Stream& stream, const server_address& server,
           std::chrono::milliseconds patience)
      : loop_(loop), stream_(stream), server_(server), patience_(patience) {
    parser_.body_limit(boost::none);
    parser_.header_limit(64 * 1024);
  }

  result<http_reply, call_failure> run(const beast_http::request<beast_http::string_body>& request,
                                       const std::function<bool(std::string_view)>& take) {
    if (const auto ec = timed([&](auto done) { beast_http::async_write(stream_, request, done); }))
      return lost(ec);
    if (const auto ec = timed(
            [&](auto done) { beast_http::async_read_header(stream_, buffer_, parser_, done); }))
      return lost(ec);
    http_reply reply;
    reply.status = parser_.get().result_int();
    for (const auto& field : parser_.get())
      reply.fields.emplace_back(std::string{field.name_string()}, std::string{field.value()});
    return read_body(std::move(reply), take);
  }

private:
  template <class Start>
  error_code timed(Start&& start) {
    beast::get_lowest_layer(stream_).expires_after(patience_);
    return finish(loop_, start);
  }

  call_failure lost(const error_code& ec) const {
    return {trouble::lost, fmt::format("lost the connection to {}: {}", server_.url, describe(ec))};
  }

  result<http_reply, call_failure> read_body(http_reply reply,
                                             const std::function<bool(std::string_view)>& take) {
    std::array<char, 16 * 1024> piece;
    while (!parser_.is_done()) {
      auto& body = parser_.get().body();
      body.data = piece.data();
      body.size = piece.size();
      const auto ec =
          timed([&](auto done) { beast_http::async_read_some(stream_, buffer_, parser_, done); });
      const std::string_view text{piece.data(), piece.size() - body.size};
      if (reply.ok() && take && !text.empty() && !take(text))
        return reply;
      if (!reply.ok() || !take)
        reply.body += text;
      if (ec && ec != beast_http::error::need_buffer)
        return lost(ec);
    }
    return reply;
  }

  asio::io_context& loop_;
  Stream& stream_;
  const server_address& server_;
  std::chrono::milliseconds patience_;
  beast::flat_buffer buffer_;
  beast_http::response_parser<beast_http::buffer_body> parser_;
};

std::optional<call_failure> connect(asio::io_context& loop, beast::tcp_stream& stream,
                                    const server_address& server,
                                    std::chrono::milliseconds patience) {
  asio::ip::tcp::resolver resolver{loop};
  error_code ec;
  const auto found = resolver.resolve(server.host, std::to_string(server.port), ec);
  if (ec)
    return unreachable(server, describe(ec));
  stream.expires_after(patience);
  ec = finish(loop, [&](auto done) { stream.async_connect(found, done); });
  if (!ec)
    return std::nullopt;
  const bool refused = ec == asio::error::connection_refused;
  return unreachable(server,
                     refused ? "connection refused; is `runledger serve` running?" : describe(ec));
}

result<http_reply, call_failure>
over_tls(asio::io_context& loop, const server_address& server,
         const beast_http::request<beast_http::string_body>& request, const http_call& call,
         const std::function<bool(std::string_view)>& take) {
  asio::ssl::context trust{asio::ssl::context::tls_client};
  error_code ec;
  trust.set_default_verify_paths(ec);
  beast::ssl_stream<beast::tcp_stream> stream{loop, trust};
  stream.set_verify_mode(asio::ssl::verify_peer, ec);
  stream.set_verify_callback(asio::ssl::host_name_verification{server.host}, ec);
  if (!SSL_set_tlsext_host_name(stream.native_handle(), server.host.c_str()))
    return unreachable(server, "the host's name cannot be sent");
  if (auto failure = connect(loop, stream.next_layer(), server, call.patience))
    return *failure;
  stream.next_layer().expires_after(call.patience);
  ec = finish(loop,
              [&](auto done) { stream.async_handshake(asio::ssl::stream_base::client, done); });
  if (ec)
    return unreachable(server, describe(ec));
  return exchange{loop, stream, server, call.patience}.run(request, take);
}

result<http_reply, call_failure>
over_tcp(asio::io_context& loop, const server_address& server,
         const beast_http::request<beast_http::string_body>& request, const http_call& call,
         const std::function<bool(std::string_view)>& take) {
  beast::tcp_stream stream{loop};
  if (auto failure = connect(loop, stream, server, call.patience))
    return *failure;
  return exchange{loop, stream, server, call.patience}.run(request, take);
}

} // namespace

result<server_address, std::string> parse_server(std::string_view url) {
  const auto refusal = fmt::format("`{}` is no server address such as http://127.0.0.1:8080", url);
  server_address server;
  server.tls = url.starts_with("https://");
  if (!server.tls && !url.starts_with("http://"))
    return refusal;
  server.url = url;
  url.remove_prefix(server.tls ? 8 : 7);
  const auto slash = url.find('/');
  auto authority = url.substr(0, slash);
  server.base = slash == std::string_view::npos ? "" : std::string{url.substr(slash)};
  while (server.base.ends_with('/'))
    server.base.pop_back();
  server.port = server.tls ? 443 : 80;
  const auto bracket = authority.rfind(']');
  const auto colon = authority.rfind(':');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    const auto digits = authority.substr(colon + 1);
    const auto [end, failure] =
        std::from_chars(digits.data(), digits.data() + digits.size(), server.port);
    if (failure != std::errc{} || end != digits.data() + digits.size() || server.port == 0)
      return refusal;
    authority = authority.substr(0, colon);
  }
  if (authority.starts_with('[') && authority.ends_with(']'))
    authority = authority.substr(1, authority.size() - 2);
  if (authority.empty() || url.find_first_of("?#@ ") != std::string_view::npos)
    return refusal;
  server.host = authority;
  while (server.url.ends_with('/'))
    server.url.pop_back();
  return server;
}

std::string http_reply::field(std::string_view name) const {
  for (const auto& [key, value] : fields)
    if (beast::iequals(key, beast::string_view{name.data(), name.size()}))
      return value;
  return {};
}

result<http_reply, call_failure> client::send(const http_call& call) const {
  return stream(call, nullptr);
}

result<http_reply, call_failure>
client::stream(const http_call& call, const std::function<bool(std::string_view)>& take) const {
  asio::io_context loop;
  const auto request = request_of(server_, key_, call);
  return server_.tls ? over_tls(loop, server_, request, call, take)
                     : over_tcp(loop, server_, request, call, take);
}

} // namespace runledger::cli
