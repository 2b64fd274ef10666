#include "tests/support/event_stream.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

namespace runledger::test {

event_stream::event_stream(std::uint16_t port, const std::string& key, const std::string& target,
                           const std::string& more) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int small = 4096; // So that a reader that stops is noticed soon.
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const auto request = "GET " + target + " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
                       + key + "\r\nAccept: text/event-stream\r\n" + more + "\r\n";
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0
      || ::send(fd_, request.data(), request.size(), MSG_NOSIGNAL)
             != static_cast<ssize_t>(request.size()))
    closed_ = true;
}

event_stream::~event_stream() {
  ::close(fd_);
}

bool event_stream::fill(std::chrono::steady_clock::time_point until) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
                        until - std::chrono::steady_clock::now())
                        .count();
  pollfd one{fd_, POLLIN, 0};
  if (closed_ || left <= 0 || ::poll(&one, 1, static_cast<int>(left)) <= 0)
    return false;
  char bytes[16384];
  const auto count = ::recv(fd_, bytes, sizeof bytes, 0);
  closed_ = count <= 0;
  if (count > 0)
    raw_.append(bytes, static_cast<std::size_t>(count));
  return count > 0;
}

bool event_stream::take_head(std::chrono::steady_clock::time_point until) {
  while (status_ == 0) {
    const auto end = raw_.find("\r\n\r\n");
    if (end != std::string::npos) {
      status_ = std::atoi(raw_.c_str() + 9);
      raw_.erase(0, end + 4);
    } else if (!fill(until)) {
      return false;
    }
  }
  return status_ == 200;
}

void event_stream::take_chunks() {
  for (;;) {
    const auto line = raw_.find("\r\n");
    if (line == std::string::npos)
      return;
    const auto size = std::strtoul(raw_.c_str(), nullptr, 16);
    if (raw_.size() < line + 2 + size + 2)
      return;
    text_.append(raw_, line + 2, size);
    raw_.erase(0, line + 2 + size + 2);
    finished_ = finished_ || size == 0;
  }
}

int event_stream::status() {
  take_head(std::chrono::steady_clock::now() + std::chrono::seconds{20});
  return status_;
}

std::optional<stream_item> event_stream::next(std::chrono::milliseconds at_most) {
  const auto until = std::chrono::steady_clock::now() + at_most;
  if (!take_head(until))
    return std::nullopt;
  for (;;) {
    take_chunks();
    const auto end = text_.find("\n\n");
    if (end != std::string::npos) {
      stream_item item;
      std::string_view block{text_.data(), end};
      while (!block.empty()) {
        const auto line = block.substr(0, block.find('\n'));
        block.remove_prefix(std::min(line.size() + 1, block.size()));
        const auto value = [&](std::string_view name) {
          return line.starts_with(name) ? std::string{line.substr(name.size())} : std::string{};
        };
        item.comment = item.comment || line.starts_with(":");
        item.id += value("id: ");
        item.event += value("event: ");
        item.data += value("data: ");
      }
      text_.erase(0, end + 2);
      return item;
    }
    if (finished_ || !fill(until))
      return std::nullopt;
  }
}

} // namespace runledger::test
