#pragma once

#include <cstdint>
#include <string_view>

/// The words of HTTP that routes use. The edge needs no library type in its public headers.
namespace runledger::http {

/// Methods that the server knows; any other is refused by the guard.
enum class verb : std::uint8_t { get, head, post, put, patch, delete_, options };
constexpr unsigned verb_count = 7;

constexpr std::string_view name_of(verb v) {
  constexpr std::string_view names[verb_count] = {"GET",   "HEAD",   "POST",   "PUT",
                                                  "PATCH", "DELETE", "OPTIONS"};
  return names[static_cast<unsigned>(v)];
}

/// Whether a request with this method may change something: decides what an unanswered one is
/// called.
constexpr bool is_write(verb v) {
  return v == verb::post || v == verb::put || v == verb::patch || v == verb::delete_;
}

/// Status codes that the server sends.
enum class status : std::uint16_t {
  ok = 200,
  created = 201,
  accepted = 202,
  no_content = 204,
  partial_content = 206,
  found = 302,
  not_modified = 304,
  bad_request = 400,
  unauthorized = 401,
  forbidden = 403,
  not_found = 404,
  method_not_allowed = 405,
  request_timeout = 408,
  conflict = 409,
  gone = 410,
  precondition_failed = 412,
  payload_too_large = 413,
  unsupported_media_type = 415,
  range_not_satisfiable = 416,
  expectation_failed = 417,
  unprocessable = 422,
  too_many_requests = 429,
  headers_too_large = 431,
  internal = 500,
  not_implemented = 501,
  bad_gateway = 502,
  unavailable = 503,
  version_not_supported = 505,
};

/// The reason phrase of a status; "Status" for one that the server does not send.
std::string_view reason_of(status s);

/// Whether two ASCII texts are equal but for case.
bool same_text(std::string_view left, std::string_view right);

} // namespace runledger::http
