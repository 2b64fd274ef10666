#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace runledger::test {

/// A port of loopback behind which a server may come and go: what connects to it is connected to
/// the target of that moment, and can be cut off. A thread of its own.
class relay {
public:
  relay();
  ~relay();
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;

  std::uint16_t port() const { return port_; }
  /// New connections go there; 0: they are closed at once.
  void target(std::uint16_t port) { target_ = port; }
  /// Ends every connection that there is.
  void cut() { cut_asked_ = true; }
  /// Cuts a connection once, when so many further bytes of servers have passed.
  void cut_after(std::size_t bytes) { allowance_ = bytes; }
  std::size_t connections() const { return connections_; }
  /// How many were cut in the middle.
  std::size_t cuts() const { return cuts_; }

private:
  struct pair {
    int client = -1, server = -1;
  };
  void run();
  void accept_one();
  bool move_from_server(const pair& one);
  static bool move(int from, int to, std::size_t at_most);

  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<std::uint16_t> target_ = 0;
  std::atomic<bool> cut_asked_ = false, ending_ = false;
  static constexpr std::size_t no_limit = ~std::size_t{0};
  std::atomic<std::size_t> connections_ = 0, allowance_ = no_limit, cuts_ = 0;
  std::vector<pair> pairs_;
  std::thread thread_;
};

} // namespace runledger::test
