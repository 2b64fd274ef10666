#pragma once

#include "http/context.hpp"

namespace runledger::http {

/// Reads all keys that open something from the views, as they are now, and loads them into the
/// ring. `done` (may be empty) is called on the HTTP thread with whether that went well. The views
/// are ready. HTTP thread.
void load_keys(route_context& c, std::function<void(bool)> done);

/// The same with the reader at hand, blocking; for the start. False: the views cannot be read.
bool load_keys_now(route_context& c);

} // namespace runledger::http
