#pragma once

#include "http/router.hpp"

#include <span>

namespace runledger::http {

/// The whole surface in one look: what main serves, and what docs and tests walk.
std::span<const route> route_table();

} // namespace runledger::http
