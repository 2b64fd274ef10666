#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace runledger::http {

/// The `wait` of a `Prefer` header field (RFC 7240): how long the answer may take. At most 300 s;
/// more counts as 300. Nothing without one, or where it is malformed: a preference is never an
/// error.
std::optional<std::chrono::seconds> read_wait(std::string_view prefer);

} // namespace runledger::http
