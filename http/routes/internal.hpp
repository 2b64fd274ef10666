#pragma once

#include "http/request.hpp"
#include "http/worker_socket.hpp"

#include <optional>

namespace runledger::http::routes {

/// The request, if it asks for a WebSocket.
std::optional<upgrade_request> websocket_asked_by(const request& rq);

} // namespace runledger::http::routes
