#pragma once

#include "http/context.hpp"

#include <string>

namespace runledger::http {

/// Appends all figures of the server in Prometheus' text format (version 0.0.4). HTTP thread.
void append_metrics(std::string& out, const route_context& c);

} // namespace runledger::http
