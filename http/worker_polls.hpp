#pragma once

#include "http/reply.hpp"
#include "http/worker_session.hpp"

#include <deque>
#include <map>
#include <memory>
#include <string>

namespace runledger::http {

/// The connections of workers that poll: the same messages as over a WebSocket, carried by plain
/// requests. A connection is named by its worker's token and lives until the worker leaves it, is
/// silent for its lease, or connects anew. HTTP thread only.
class worker_polls {
public:
  /// The first message; `r` is answered with the welcome or the refusal.
  void greet(route_context& c, request_context who, const std::string& token,
             const std::string& hello, reply r);
  /// Batch `number` of the worker's messages; one that was taken before is taken no second time.
  void take(const workspace_id& workspace, const std::string& token, std::uint64_t number,
            const std::vector<std::string>& messages, reply r);
  /// The messages behind number `after`; waits for one at most `patience`.
  void give(const workspace_id& workspace, const std::string& token, std::uint64_t after,
            std::chrono::milliseconds patience, reply r);
  void leave(const workspace_id& workspace, const std::string& token, reply r);
  /// Everything that waits is answered.
  void drain();

private:
  class connection;
  using key = std::pair<std::string, std::string>; // Workspace and token.
  std::shared_ptr<connection> find(const workspace_id& workspace, const std::string& token);

  std::map<key, std::shared_ptr<connection>> open_;
};

} // namespace runledger::http
