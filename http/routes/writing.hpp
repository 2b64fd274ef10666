#pragma once

#include "actors/engine.hpp"
#include "events/json.hpp"
#include "http/ask.hpp"
#include "http/context.hpp"
#include "http/request.hpp"

/// What handlers that change something share.
namespace runledger::http {

/// Who asks, and what makes the request the same when it comes again. The problem is 400 for a
/// malformed Idempotency-Key. `body` null: a request without one.
result<request_context, problem> context_of(const request& rq, const json::value* body);

/// Adds `Idempotent-Replayed: true`.
void mark_replayed(reply& r, bool replayed);

} // namespace runledger::http
