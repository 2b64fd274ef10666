#pragma once

#include "events/envelope.hpp"

#include <string>

namespace runledger {

/// Appends the event as one CloudEvent 1.0 object in JSON (structured mode), without a line feed:
/// the attributes of docs/events.md, absent ones left out; what stands beside the envelope as the
/// numbers `partition`, `offset` and `epoch`; last the payload as `data`, as the ledger has it, but
/// that white space which would break the line becomes a space. A payload that is no JSON (damage)
/// becomes a JSON string.
void append_cloud_event_json(std::string& out, const record& r);

/// The same with the exact bytes of the payload as `data_base64`, and without what stands beside
/// the envelope: everything that the hashes cover.
void append_cloud_event_base64(std::string& out, const envelope& e);

/// The attributes of docs/events.md in its order, absent ones left out, as an object that is not
/// closed.
void append_cloud_event_attributes(std::string& out, const envelope& e);

} // namespace runledger
