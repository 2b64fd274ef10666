#pragma once

#include <string_view>

namespace runledger::http {

/// The description of the whole surface, OpenAPI 3.1 as JSON: http/openapi.json, compiled in.
std::string_view openapi_text();

} // namespace runledger::http
