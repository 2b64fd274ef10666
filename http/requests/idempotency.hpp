#pragma once

#include "events/digest.hpp"
#include "events/json.hpp"
#include "events/result.hpp"
#include "http/problem.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace runledger::http {

/// Reads an `Idempotency-Key` header field: a quoted string or bare text of 1 to 255 visible ASCII
/// characters. Quotes are not part of the key. Anything else is 400.
result<std::string, problem> read_idempotency_key(std::string_view field);

/// The fingerprint of a parsed body: SHA-256 over its canonical bytes (docs/events.md).
digest fingerprint_of(const json::value& body);
/// The fingerprint of a request without a body.
digest fingerprint_of_nothing();

} // namespace runledger::http
