#include "tests/support/relay.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

namespace runledger::test {

namespace {

constexpr int look_every_ms = 10;
constexpr std::size_t piece = 64 * 1024;

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  out.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return out;
}

} // namespace

relay::relay() {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  auto where = loopback(0);
  socklen_t size = sizeof where;
  if (::bind(listener_, reinterpret_cast<sockaddr*>(&where), size) == 0
      && ::listen(listener_, 16) == 0
      && ::getsockname(listener_, reinterpret_cast<sockaddr*>(&where), &size) == 0)
    port_ = ntohs(where.sin_port);
  thread_ = std::thread{[this] { run(); }};
}

relay::~relay() {
  ending_ = true;
  thread_.join();
  ::close(listener_);
}

void relay::run() {
  while (!ending_) {
    std::vector<pollfd> watched{{listener_, POLLIN, 0}};
    for (const auto& one : pairs_)
      for (int each : {one.client, one.server})
        watched.push_back({each, POLLIN, 0});
    ::poll(watched.data(), watched.size(), look_every_ms);
    const bool cut = cut_asked_.exchange(false) || ending_;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      auto& one = pairs_[i];
      const bool ends = cut
                        || (watched[1 + 2 * i].revents != 0 && !move(one.client, one.server, piece))
                        || (watched[2 + 2 * i].revents != 0 && !move_from_server(one));
      if (!ends)
        continue;
      ::close(one.client);
      ::close(one.server);
      one.client = -1;
    }
    std::erase_if(pairs_, [](const pair& one) { return one.client < 0; });
    if (watched[0].revents != 0)
      accept_one();
    connections_ = pairs_.size();
  }
}

void relay::accept_one() {
  const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const auto where = loopback(target_);
  if (client >= 0 && target_ != 0
      && ::connect(server, reinterpret_cast<const sockaddr*>(&where), sizeof where) == 0) {
    pairs_.push_back({client, server});
    return;
  }
  ::close(client);
  ::close(server);
}

bool relay::move_from_server(const pair& one) {
  const auto left = allowance_.load();
  if (left == no_limit)
    return move(one.server, one.client, piece);
  char bytes[piece];
  const auto count = ::recv(one.server, bytes, std::min(piece, left), MSG_PEEK);
  const bool good = move(one.server, one.client, std::min(piece, left));
  if (!good || count <= 0 || static_cast<std::size_t>(count) < left) {
    allowance_ = left - static_cast<std::size_t>(std::max<ssize_t>(count, 0));
    return good;
  }
  allowance_ = no_limit;
  ++cuts_;
  return false;
}

/// False: that side has ended.
bool relay::move(int from, int to, std::size_t at_most) {
  char bytes[piece];
  const auto count = ::recv(from, bytes, std::min(piece, at_most), 0);
  for (ssize_t sent = 0; count > 0 && sent < count;) {
    const auto n = ::send(to, bytes + sent, static_cast<std::size_t>(count - sent), MSG_NOSIGNAL);
    if (n <= 0)
      return false;
    sent += n;
  }
  return count > 0;
}

} // namespace runledger::test
