#pragma once

#include "http/cluster/membership.hpp"
#include "http/cluster/node_client.hpp"
#include "http/cluster/trust.hpp"
#include "http/reply.hpp"

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace runledger::http {

/// What is kept of a request that another node may have to answer.
struct kept_request {
  verb method = verb::post;
  std::string target; ///< Path and query as sent.
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
  principal_ptr caller;
  std::string id, client;
  /// So long the other node may take for its answer.
  std::chrono::milliseconds patience{0};
  std::shared_ptr<const void> charge; ///< For the body's memory, until the answer.
};

/// Sends requests that this node cannot answer to the node that can, once, and relays the answers.
/// Nobody there: 503 `not_owner`, nothing was done. The connection broke behind the request: 503
/// `outcome_unknown`. A client that leaves takes its request along. HTTP thread only.
class forwarder {
public:
  /// All outlive it.
  forwarder(membership& members, const cluster_trust& trust, node_client& client)
      : members_(members), trust_(trust), client_(client) {}

  const cluster_trust& trust() const { return trust_; }
  /// `partition`: that whose holder is to answer, as the refusal named it.
  void forward(kept_request what, std::uint32_t partition, reply to);
  void append_metrics(std::string& out) const;

private:
  struct figures {
    std::uint64_t answered = 0;    // By the other node, whatever it said.
    std::uint64_t nobody = 0;      // Is known to hold the partition.
    std::uint64_t unreachable = 0; // The other node.
    std::uint64_t lost = 0;        // Its answer.
  };

  membership& members_;
  const cluster_trust& trust_;
  node_client& client_;
  figures figures_;
};

/// The 503 of a request that cannot reach the node that could answer it.
problem nobody_there(std::string detail);

} // namespace runledger::http
