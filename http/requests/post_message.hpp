#pragma once

#include "http/requests/body.hpp"

namespace runledger::http {

/// Body of `POST /sessions/{id}/messages`: `message`, or one of its aliases `content` and `prompt`.
/// The result is a JSON string.
result<payload, problem> read_post_message(const json::value& object);

} // namespace runledger::http
