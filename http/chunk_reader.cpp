#include "http/guard.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>

namespace runledger::http {
namespace {

namespace beast_http = boost::beast::http;
using error_code = boost::system::error_code;
using beast_view = boost::beast::string_view;

// The real head was read by the guard. Beast gets this one instead and can merge nothing into it.
constexpr std::string_view stand_in = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
constexpr std::uint32_t trailer_limit = 8 * 1024;

} // namespace

struct chunk_reader::content {
  /// Beast's parser as a decoder: keeps chunk bodies, ignores all else.
  class decoder : public beast_http::basic_parser<true> {
  public:
    std::string* body = nullptr;

  private:
    void on_request_impl(beast_http::verb, beast_view, beast_view, int, error_code&) override {}
    void on_response_impl(int, beast_view, int, error_code&) override {}
    void on_field_impl(beast_http::field, beast_view, beast_view, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(beast_view bytes, error_code&) override {
      body->append(bytes.data(), bytes.size());
      return bytes.size();
    }
    void on_chunk_header_impl(std::uint64_t, beast_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, beast_view bytes, error_code&) override {
      body->append(bytes.data(), bytes.size());
      return bytes.size();
    }
    void on_finish_impl(error_code&) override {}
  };

  decoder parser;
};

chunk_reader::chunk_reader(std::uint64_t limit) : content_(std::make_unique<content>()) {
  auto& parser = content_->parser;
  parser.eager(true);
  parser.body_limit(limit);
  parser.header_limit(trailer_limit);
  error_code ec;
  parser.put(boost::asio::const_buffer(stand_in.data(), stand_in.size()), ec);
}

chunk_reader::~chunk_reader() = default;

chunk_reader::outcome chunk_reader::feed(std::string_view bytes, std::string& body,
                                         std::size_t& used) {
  auto& parser = content_->parser;
  parser.body = &body;
  used = 0;
  while (!parser.is_done() && used < bytes.size()) {
    error_code ec;
    const std::size_t taken =
        parser.put(boost::asio::const_buffer(bytes.data() + used, bytes.size() - used), ec);
    used += taken;
    if (ec == beast_http::error::need_more)
      break;
    if (ec == beast_http::error::body_limit)
      return outcome::too_large;
    if (ec)
      return outcome::malformed;
    if (taken == 0)
      break;
  }
  return parser.is_done() ? outcome::complete : outcome::need_more;
}

} // namespace runledger::http
