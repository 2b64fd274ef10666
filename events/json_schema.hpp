#pragma once

#include "events/json.hpp"

#include <optional>
#include <string>
#include <string_view>

/// JSON Schema draft 7 for `state_schema`: an allow-list of keywords, so that what is not supported is refused when
/// the schema is registered and never ignored.
namespace runledger::json_schema {

struct mismatch {
  std::string path;    ///< JSON Pointer (RFC 6901) into the value, or into the schema for check().
  std::string message; ///< One sentence.
};

/// Whether a schema may be registered; the first keyword that is not supported, with its place.
std::optional<mismatch> check(const json::value& schema);

/// The first place where `value` does not fit a schema that check() has let pass. Compiled schemas are cached by
/// their text. Any thread.
std::optional<mismatch> validate(std::string_view schema, const json::value& value);

} // namespace runledger::json_schema
