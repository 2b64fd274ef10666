#include "tests/http/edge_client.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace edge_test {
namespace {

constexpr int deadline_ms = 5000;

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

} // namespace

std::string response::header(const std::string& name) const {
  const auto found = headers.find(lower(name));
  return found == headers.end() ? std::string{} : found->second;
}

raw_client::raw_client(std::uint16_t port, const char* from) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in here{};
  here.sin_family = AF_INET;
  ::inet_pton(AF_INET, from, &here.sin_addr);
  sockaddr_in there = here;
  ::inet_pton(AF_INET, "127.0.0.1", &there.sin_addr);
  there.sin_port = htons(port);
  if (::bind(fd_, reinterpret_cast<sockaddr*>(&here), sizeof here) != 0
      || ::connect(fd_, reinterpret_cast<sockaddr*>(&there), sizeof there) != 0)
    close();
}

raw_client::raw_client(raw_client&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), over_(other.over_), pending_(std::move(other.pending_)) {}

raw_client::~raw_client() {
  close();
}

void raw_client::close() {
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
  over_ = true;
}

void raw_client::finish_sending() {
  ::shutdown(fd_, SHUT_WR);
}

bool raw_client::send(std::string_view bytes) {
  while (!bytes.empty()) {
    pollfd ready{fd_, POLLOUT, 0};
    if (::poll(&ready, 1, deadline_ms) != 1)
      return false;
    const auto n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool raw_client::fill() {
  if (over_)
    return false;
  pollfd ready{fd_, POLLIN, 0};
  if (::poll(&ready, 1, deadline_ms) != 1)
    return false;
  char bytes[16 * 1024];
  const auto n = ::recv(fd_, bytes, sizeof bytes, 0);
  if (n <= 0) {
    over_ = true;
    return false;
  }
  pending_.append(bytes, static_cast<std::size_t>(n));
  return true;
}

std::string raw_client::more() {
  fill();
  return std::exchange(pending_, {});
}

bool raw_client::read_until(std::string_view text) {
  while (pending_.find(text) == std::string::npos)
    if (!fill())
      return false;
  return true;
}

bool raw_client::readable_within(std::chrono::milliseconds patience) {
  pollfd ready{fd_, POLLIN, 0};
  return ::poll(&ready, 1, static_cast<int>(patience.count())) == 1;
}

bool raw_client::ends() {
  while (fill())
    pending_.clear();
  return over_;
}

bool raw_client::read_chunks(response& out) {
  for (;;) {
    if (!read_until("\r\n"))
      return false;
    const std::size_t line = pending_.find("\r\n");
    const std::size_t size = std::stoul(pending_.substr(0, line), nullptr, 16);
    while (pending_.size() < line + 2 + size + 2)
      if (!fill())
        return false;
    out.body += pending_.substr(line + 2, size);
    pending_.erase(0, line + 2 + size + 2);
    if (size == 0)
      return true;
  }
}

response raw_client::read(bool to_head) {
  response out;
  if (!read_until("\r\n\r\n"))
    return out;
  const std::size_t end = pending_.find("\r\n\r\n") + 4;
  out.head = pending_.substr(0, end);
  pending_.erase(0, end);
  out.status = std::stoi(out.head.substr(9, 3));
  for (std::size_t at = out.head.find("\r\n") + 2; at + 2 < out.head.size();) {
    const std::size_t line_end = out.head.find("\r\n", at);
    const std::size_t colon = out.head.find(": ", at);
    out.headers[lower(out.head.substr(at, colon - at))] =
        out.head.substr(colon + 2, line_end - colon - 2);
    at = line_end + 2;
  }
  if (out.header("Transfer-Encoding") == "chunked") {
    out.complete = read_chunks(out);
    return out;
  }
  const auto length = out.header("Content-Length");
  const std::size_t size = to_head || length.empty() ? 0 : std::stoul(length);
  while (pending_.size() < size)
    if (!fill())
      break;
  out.complete = pending_.size() >= size;
  out.body = pending_.substr(0, size);
  pending_.erase(0, size);
  return out;
}

} // namespace edge_test
