#include "tests/unit/cli/canned_server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

/// One request with its body, or what came before the connection ended.
std::string read_request(int connection) {
  std::string text;
  char piece[4096];
  for (;;) {
    const auto head_end = text.find("\r\n\r\n");
    if (head_end != std::string::npos) {
      const auto length = field_of(text, "Content-Length");
      if (text.size() >= head_end + 4 + (length.empty() ? 0 : std::stoul(length)))
        return text;
    }
    const auto count = ::read(connection, piece, sizeof piece);
    if (count <= 0)
      return text;
    text.append(piece, static_cast<std::size_t>(count));
  }
}

void write_all(int connection, std::string_view text) {
  while (!text.empty()) {
    const auto count = ::send(connection, text.data(), text.size(), MSG_NOSIGNAL);
    if (count <= 0)
      return;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
}

} // namespace

canned_server::canned_server(std::vector<std::string> answers) : answers_(std::move(answers)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0
      || ::listen(listener_, 16) != 0
      || ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error{"no port on loopback"};
  port_ = ntohs(address.sin_port);
  thread_ = std::thread{[this] { serve(); }};
}

canned_server::~canned_server() {
  stopping_ = true;
  ::shutdown(listener_, SHUT_RDWR); // Wakes the accept.
  thread_.join();
  for (const int connection : silent_)
    ::close(connection);
  ::close(listener_);
}

std::string canned_server::url() const {
  return fmt::format("http://127.0.0.1:{}", port_);
}

std::vector<std::string> canned_server::requests() const {
  const std::lock_guard lock{mutex_};
  return requests_;
}

void canned_server::serve() {
  for (std::size_t next = 0; !stopping_;) {
    const int connection = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0)
      return;
    auto request = read_request(connection);
    {
      const std::lock_guard lock{mutex_};
      requests_.push_back(std::move(request));
    }
    const bool is_silent = next < answers_.size() && answers_[next] == silence;
    if (is_silent) {
      silent_.push_back(connection);
      ++next;
      continue;
    }
    if (next < answers_.size())
      write_all(connection, answers_[next++]);
    ::close(connection);
  }
}

std::string answer(int status, std::string_view body, std::string_view more_fields) {
  return fmt::format(
      "HTTP/1.1 {} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{}\r\n{}", status,
      body.size(), more_fields, body);
}

std::string event_stream(std::string_view events) {
  return fmt::format(
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n{}", events);
}

std::string field_of(const std::string& request, std::string_view name) {
  const auto at = request.find(fmt::format("\r\n{}: ", name));
  if (at == std::string::npos)
    return {};
  const auto begin = at + name.size() + 4;
  return request.substr(begin, request.find("\r\n", begin) - begin);
}

} // namespace runledger::cli
