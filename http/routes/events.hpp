#pragma once

#include "http/context.hpp"
#include "http/reply.hpp"
#include "http/request.hpp"

namespace runledger::http {

/// Answers with the events of a session or a run: as an array (`since`, `limit`), or as a stream
/// where the client accepts text/event-stream.
void answer_events(route_context& c, const request& rq, stream_subject::kind what, std::string id,
                   reply r);

} // namespace runledger::http
