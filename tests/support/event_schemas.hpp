#pragma once

#include "events/envelope.hpp"

#include <string>

/// The JSON Schemas of the events' payloads (docs/schemas), for tests.
namespace runledger::test {

/// Where an event's payload does not fit the schema of its type, or that there is none; empty: it
/// fits. Any thread.
std::string schema_mismatch(const envelope& e);

/// The text of the schema of a full type, with what it refers to, in draft 7; empty: there is none.
/// Draft 7 is what events/json_schema.hpp checks; it refuses every keyword in which 2020-12 means
/// something else, but for `$defs`, which had another name.
std::string schema_text(const std::string& full_type);

} // namespace runledger::test
