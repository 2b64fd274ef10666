#pragma once

#include "http/upgraded_connection.hpp"
#include "http/worker_session.hpp"

#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace runledger::http {

/// The request that asks for a WebSocket, to be answered with 101.
struct upgrade_request {
  std::string target;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string id; ///< As its answer names it.
};

/// Carries a worker's session over a WebSocket (RFC 6455, by Beast).
std::shared_ptr<upgraded_connection> make_worker_socket(upgrade_request request,
                                                        std::shared_ptr<worker_session> session);

} // namespace runledger::http
