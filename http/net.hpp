#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/error_code.hpp>

/// Asio under our names. For the files that own sockets; routes need none of it.
namespace runledger::http {

namespace net = boost::asio;
using error_code = boost::system::error_code;
using tcp = net::ip::tcp;
/// A socket whose executor is known at compile time: no type erasure on the way of a request.
using tcp_socket = net::basic_stream_socket<tcp, net::io_context::executor_type>;

} // namespace runledger::http
