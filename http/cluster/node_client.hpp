#pragma once

#include "events/result.hpp"
#include "http/net.hpp"
#include "http/vocabulary.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace boost::asio::ssl {
class context;
}

namespace runledger::http {

/// A request to another node.
struct node_request {
  std::string address; ///< `http://host:port` or https, IPv6 in brackets.
  verb method = verb::get;
  std::string target; ///< Path and query.
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  /// From now to the whole answer, the wait for a connection included.
  std::chrono::milliseconds patience{30'000};
  /// Of a client, who may wait long for its answer; what nodes have to say to each other does not
  /// wait behind these.
  bool for_client = false;
};

struct node_answer {
  unsigned status = 0;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  /// A header field by its name in any case; empty: absent.
  std::string_view field(std::string_view name) const;
};

/// Why there is no answer.
enum class node_trouble : std::uint8_t {
  unreachable, ///< Nothing was sent.
  lost,        ///< It was sent, and may have been carried out; the answer did not come whole.
};

/// HTTP to other nodes, over connections that are kept: so many for each, and as many for its
/// clients' requests. What comes then waits, and is unreachable when its time is up. Every request
/// carries this node's authorization. An answer larger than 256 MiB counts as lost. HTTP thread
/// only; `io` outlives it.
class node_client {
public:
  using done = std::function<void(result<node_answer, node_trouble>)>;

  /// `certificates`: a PEM file with certificates that are trusted besides the system's; may be
  /// empty. Throws boost::system::system_error if it cannot be read.
  node_client(net::io_context& io, std::string authorization, const std::string& certificates);
  ~node_client(); ///< Ends everything; what is under way is told `lost`.
  node_client(const node_client&) = delete;
  node_client& operator=(const node_client&) = delete;

  /// Tells `then` once, later. Calling what comes back gives the request up without a word; that
  /// may be done at any time and any number of times.
  std::function<void()> send(node_request ask, done then);
  /// Whose certificates are believed.
  net::ssl::context& tls();
  /// As at its end: what comes afterwards is unreachable.
  void stop();

private:
  class pool;
  std::shared_ptr<pool> pool_;
};

} // namespace runledger::http
