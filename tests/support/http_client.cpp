#include "tests/support/http_client.hpp"

#include "events/json.hpp"
#include "events/json_writer.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <optional>

namespace runledger::test {

namespace {

using clock = std::chrono::steady_clock;

/// Whether `fd` became ready for `events` before the deadline.
bool ready(int fd, short events, clock::time_point until) {
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(until - clock::now()).count();
    if (left <= 0)
      return false;
    pollfd one{fd, events, 0};
    const int count = ::poll(&one, 1, static_cast<int>(left));
    if (count > 0)
      return true;
    if (count == 0 || errno != EINTR)
      return false;
  }
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::optional<json::value> step_into(const json::value& from, std::string_view name) {
  if (!from.is_array())
    return from.find(name);
  std::size_t index = 0;
  if (std::from_chars(name.data(), name.data() + name.size(), index).ec != std::errc{})
    return std::nullopt;
  for (auto each : from.children())
    if (index-- == 0)
      return each;
  return std::nullopt;
}

} // namespace

std::string json_at(std::string_view text, std::string_view path) {
  const auto parsed = json::parse(text);
  if (!parsed)
    return {};
  std::optional<json::value> at = parsed->root();
  while (at && !path.empty()) {
    const auto dot = std::min(path.find('.'), path.size());
    at = step_into(*at, path.substr(0, dot));
    path.remove_prefix(std::min(dot + 1, path.size()));
  }
  if (!at)
    return {};
  return std::string{at->is_string() ? at->string() : at->raw()};
}

std::vector<std::string> json_elements(std::string_view text) {
  std::vector<std::string> out;
  if (const auto parsed = json::parse(text); parsed && parsed->root().is_array())
    for (auto each : parsed->root().children())
      out.emplace_back(each.raw());
  return out;
}

std::string json_quoted(std::string_view text) {
  std::string out;
  json_writer::append_quoted(out, text);
  return out;
}

std::string http_answer::header(const std::string& name) const {
  const auto found = headers.find(lower(name));
  return found == headers.end() ? std::string{} : found->second;
}

std::string http_answer::operator[](std::string_view path) const {
  return json_at(body, path);
}

http_client::http_client(std::uint16_t port, std::string key) : port_(port), key_(std::move(key)) {}

http_client::~http_client() {
  close();
}

void http_client::close() {
  if (fd_ >= 0)
    ::close(fd_);
  fd_ = -1;
  pending_.clear();
}

void http_client::move_to(std::uint16_t port) {
  close();
  port_ = port;
}

bool http_client::connect(deadline until) {
  fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port_);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int on = 1;
  ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in from{};
  from.sin_family = AF_INET;
  if (!from_.empty()
      && (::inet_pton(AF_INET, from_.c_str(), &from.sin_addr) != 1
          || ::bind(fd_, reinterpret_cast<sockaddr*>(&from), sizeof from) != 0)) {
    close();
    return false;
  }
  int error = 0;
  if (::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) != 0) {
    socklen_t size = sizeof error;
    if (errno != EINPROGRESS || !ready(fd_, POLLOUT, until)
        || ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
      error = ECONNREFUSED;
  }
  if (error != 0)
    close();
  return error == 0;
}

/// Nothing may come on a connection that owes no answer, not even its end.
bool http_client::still_open() {
  pollfd one{fd_, POLLIN, 0};
  return fd_ >= 0 && pending_.empty() && ::poll(&one, 1, 0) == 0;
}

bool http_client::send_all(std::string_view bytes, deadline until) {
  while (!bytes.empty()) {
    const auto count = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (count > 0)
      bytes.remove_prefix(static_cast<std::size_t>(count));
    else if (errno == EAGAIN ? !ready(fd_, POLLOUT, until) : errno != EINTR)
      return false;
  }
  return true;
}

bool http_client::fill(deadline until) {
  char chunk[16384];
  for (;;) {
    const auto count = ::recv(fd_, chunk, sizeof chunk, 0);
    if (count > 0) {
      pending_.append(chunk, static_cast<std::size_t>(count));
      return true;
    }
    if (count == 0)
      return false;
    if (errno == EAGAIN ? !ready(fd_, POLLIN, until) : errno != EINTR)
      return false;
  }
}

bool http_client::read_line(std::string& line, deadline until) {
  std::size_t end;
  while ((end = pending_.find("\r\n")) == std::string::npos)
    if (!fill(until))
      return false;
  line = pending_.substr(0, end);
  pending_.erase(0, end + 2);
  return true;
}

bool http_client::read_exactly(std::size_t count, std::string& to, deadline until) {
  while (pending_.size() < count)
    if (!fill(until))
      return false;
  to.append(pending_, 0, count);
  pending_.erase(0, count);
  return true;
}

bool http_client::read_chunks(std::string& to, deadline until) {
  std::string line;
  for (;;) {
    if (!read_line(line, until))
      return false;
    const auto size = std::strtoul(line.c_str(), nullptr, 16);
    if (size == 0)
      break;
    if (!read_exactly(size, to, until) || !read_line(line, until))
      return false;
  }
  do // Trailers.
    if (!read_line(line, until))
      return false;
  while (!line.empty());
  return true;
}

bool http_client::read_body(http_answer& answer, bool bodiless, deadline until) {
  if (bodiless || answer.status == 101 || answer.status == 204 || answer.status == 304)
    return true;
  if (lower(answer.header("transfer-encoding")) == "chunked")
    return read_chunks(answer.body, until);
  if (const auto length = answer.header("content-length"); !length.empty())
    return read_exactly(std::strtoul(length.c_str(), nullptr, 10), answer.body, until);
  while (fill(until)) // To the connection's end.
    ;
  answer.body = std::exchange(pending_, {});
  return clock::now() < until;
}

http_answer http_client::read_answer(bool bodiless, deadline until) {
  http_answer out;
  do {
    out = {};
    std::string line;
    if (!read_line(line, until) || line.size() < 12 || !line.starts_with("HTTP/1."))
      return {};
    out.status = std::atoi(line.c_str() + 9);
    for (;;) {
      if (!read_line(line, until))
        return {};
      if (line.empty())
        break;
      const auto colon = std::min(line.find(':'), line.size());
      const auto value = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
      out.headers[lower(std::string_view{line}.substr(0, colon))] = line.substr(value);
    }
  } while (out.status / 100 == 1 && out.status != 101);
  if (!read_body(out, bodiless, until))
    return {};
  return out;
}

http_answer http_client::ask(std::string_view method, std::string_view target,
                             std::string_view body, const header_list& more) {
  const auto until = clock::now() + patience_;
  if (!still_open()) {
    close();
    if (!connect(until))
      return {};
  }
  std::string head;
  head.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: 127.0.0.1\r\n");
  if (!key_.empty())
    head += "Authorization: Bearer " + key_ + "\r\n";
  bool typed = body.empty();
  for (const auto& [name, value] : more) {
    head += name + ": " + value + "\r\n";
    typed = typed || lower(name) == "content-type";
  }
  if (!typed)
    head += "Content-Type: application/json\r\n";
  if (!body.empty() || method != "GET")
    head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  head.append("\r\n").append(body);
  http_answer out;
  if (send_all(head, until) || !pending_.empty() || ready(fd_, POLLIN, clock::now()))
    out = read_answer(method == "HEAD", until);
  out.sent = true;
  if (out.status == 0 || lower(out.header("connection")) == "close")
    close();
  if (watcher_ != nullptr)
    watcher_(method, target, out);
  return out;
}

} // namespace runledger::test
