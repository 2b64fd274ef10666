#pragma once

#include "actors/queue_lines.hpp"
#include "http/cluster/membership.hpp"
#include "http/cluster/trust.hpp"
#include "http/net.hpp"
#include "http/upgraded_connection.hpp"
#include "http/worker_socket.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

namespace runledger::http {

/// Where lines to queues are opened; the queue's workspace and name follow.
inline constexpr std::string_view queue_lines_path = "/internal/v1/queues/";

/// Lines to queues that other nodes hold, each a WebSocket. Any thread; works on that of `io`. All
/// that is given outlives it, and `io` its lines.
class node_lines final : public queue_lines {
public:
  node_lines(net::io_context& io, membership& nodes, const cluster_trust& trust,
             net::ssl::context& tls)
      : io_(io), nodes_(nodes), trust_(trust), tls_(tls) {}
  std::shared_ptr<queue_line> open(const stream_id& queue, std::uint32_t partition,
                                   line_listener to) override;
  /// Ends all lines; from now on none can be opened. HTTP thread.
  void stop();

private:
  net::io_context& io_;
  membership& nodes_;
  const cluster_trust& trust_;
  net::ssl::context& tls_;
  std::vector<std::weak_ptr<message_user>> open_; // HTTP thread only.
  std::atomic<bool> stopped_{false};
};

/// The other end: the request of a node that opens a line. `listen` gets what is sent back over it
/// and says who hears.
std::shared_ptr<upgraded_connection>
take_node_line(net::io_context& io, upgrade_request request,
               const std::function<line_listener(std::shared_ptr<queue_line>)>& listen);

} // namespace runledger::http
