#pragma once

#include "http/authenticator.hpp"
#include "http/counters.hpp"
#include "http/refused_call.hpp"
#include "http/router.hpp"

#include <boost/asio/io_context.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace runledger::http {

struct edge;
class forwarder;
class trusted_proxies;

/// Bounds on what a client can make the server do. The defaults are the contract's.
struct limits {
  std::size_t head_limit = 16 * 1024;                // Bytes; beyond: 431.
  unsigned max_fields = 100;                         // Beyond: 431.
  std::chrono::milliseconds head_timeout{10'000};    // For the whole head: 408.
  std::uint64_t body_limit = 8 * 1024 * 1024;        // Bytes; beyond: 413.
  std::uint64_t bundle_limit = 512ull * 1024 * 1024; // The same for routes with body_kind::bytes.
  std::uint64_t body_memory =
      1024ull * 1024 * 1024; // Bodies of all connections together; beyond: 503.
  std::chrono::milliseconds body_timeout{30'000}; // For each next KiB of a body: 408.
  std::size_t max_connections = 10'000;           // Beyond: 503.
  /// Beyond: 429. Of IPv6 the first 64 bits count. A request under way that came through a trusted
  /// proxy counts for its client as a connection of its own would; the proxy's connections do not.
  std::size_t max_connections_per_address = 1'000;
  std::chrono::milliseconds request_timeout{30'000}; // From the whole request to the answer: 503.
  std::chrono::milliseconds keep_alive_timeout{75'000}; // Between requests: closed.
  std::chrono::milliseconds write_timeout{30'000};      // Without the client taking a byte: closed.
  std::chrono::milliseconds linger_timeout{2'000};      // For the client to close after our end.
  std::size_t stream_buffer = 256 * 1024;               // Bytes waiting in one event stream.
  std::chrono::milliseconds stream_comment_interval{
      10'000}; // Between comment lines in event streams.
};

/// One request that was answered, for the log. Valid during the call.
struct answered_request {
  verb method = verb::get;
  std::string_view pattern; ///< Of its route: paths may hold what a log must not; `-`: none.
  status code = status::ok;
  std::chrono::microseconds took{0};
  std::string_view client; ///< Its address.
  std::string_view id;
};

/// Certificate chain and private key, PEM files.
struct tls_files {
  std::string certificate;
  std::string key;
};

/// The HTTP edge: listeners, connections, limits, route table. It runs on the one thread that runs
/// `io`; all members are called there (or before `io` runs). It has no queue of its own: a handler
/// that blocks stops everything.
///
/// `io`, `table`, `who` and `context` must outlive it; `io` must outlive every reply.
class server {
public:
  server(net::io_context& io, limits bounds, std::span<const route> table, authenticator& who,
         route_context& context);
  /// Closes every connection at once.
  ~server();

  /// Called with one line for the log when something odd happens that no client is to blame for: a
  /// dropped reply, an exception of a handler, a failing accept. Optional.
  void on_complaint(std::function<void(std::string_view)> callback);

  /// Called for every refused call that would have changed something, before its answer goes out.
  /// Optional; must not block.
  void on_refusal(refusal_listener callback);
  /// Called for each answer that is out (an event stream: when it begins). Optional.
  void on_answer(std::function<void(const answered_request&)> callback);
  /// Whose word on clients counts; before listen(). Nobody's otherwise.
  void trust(trusted_proxies proxies);
  /// From now on this is one of several nodes: it believes what other nodes say of their requests,
  /// and sends writes that it cannot answer to the one that can. `relay` outlives it.
  void join(forwarder& relay);
  /// Bytes of bodies that handlers keep beyond their requests: they count with those of requests.
  /// Before listen(); any thread may change `bytes`, which outlives the server.
  void count_kept_bodies(const std::atomic<std::uint64_t>& bytes);

  /// Opens a listener and accepts from now on. `port` 0: any free one. Returns the port. Throws
  /// boost::system::system_error (address in use, bad certificate).
  std::uint16_t listen(const std::string& address, std::uint16_t port);
  std::uint16_t listen(const std::string& address, std::uint16_t port, const tls_files& tls);

  /// Closes the listeners. Connections go on.
  void stop_accepting();
  /// From now on each answer is the last of its connection, and says so. Idle connections and event
  /// streams stay until drain().
  void close_after_answers();
  /// Lets requests in flight finish, closes idle connections and event streams, and closes what is
  /// left after `patience`. Calls `done` once, with whether everything ended by itself.
  void drain(std::chrono::milliseconds patience, std::function<void(bool)> done);

  const counters& figures() const;

private:
  std::shared_ptr<edge> edge_;
};

} // namespace runledger::http
