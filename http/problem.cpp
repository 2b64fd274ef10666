#include "http/problem.hpp"

#include "events/json_writer.hpp"
#include "events/result.hpp"

namespace runledger::http {
namespace {

struct fault_row {
  fault why;
  http::status status;
  std::string_view code;
  std::string_view title;
};

constexpr fault_row fault_rows[] = {
    {fault::malformed_json, status::bad_request, "malformed_json", "The body is not valid JSON"},
    {fault::bad_request, status::bad_request, "bad_request", "The request is malformed"},
    {fault::unauthorized, status::unauthorized, "unauthorized", "A valid API key is required"},
    {fault::forbidden, status::forbidden, "forbidden", "The API key lacks the scope"},
    {fault::not_found, status::not_found, "not_found", "Not found"},
    {fault::method_not_allowed, status::method_not_allowed, "method_not_allowed",
     "The resource does not have this method"},
    {fault::request_timeout, status::request_timeout, "request_timeout",
     "The request did not arrive in time"},
    {fault::conflict, status::conflict, "conflict", "The present state does not allow this"},
    {fault::payload_too_large, status::payload_too_large, "payload_too_large",
     "The body is too large"},
    {fault::unsupported_media_type, status::unsupported_media_type, "unsupported_media_type",
     "The body's media type is not supported"},
    {fault::range_not_satisfiable, status::range_not_satisfiable, "range_not_satisfiable",
     "The range lies outside of the content"},
    {fault::expectation_failed, status::expectation_failed, "expectation_failed",
     "The expectation is not supported"},
    {fault::validation_failed, status::unprocessable, "validation_failed",
     "The request is not valid"},
    {fault::not_available, status::unprocessable, "not_available", "Not available"},
    {fault::idempotency_conflict, status::unprocessable, "idempotency_conflict",
     "The idempotency key was used for another request"},
    {fault::queue_full, status::too_many_requests, "queue_full", "Too many runs are waiting"},
    {fault::too_many_connections, status::unavailable, "too_many_connections",
     "The server has too many connections"},
    {fault::too_many_connections_per_address, status::too_many_requests, "too_many_connections",
     "Too many connections from this address"},
    {fault::headers_too_large, status::headers_too_large, "headers_too_large",
     "The request's head is too large"},
    {fault::internal, status::internal, "internal", "Internal error"},
    {fault::ledger_corrupt, status::internal, "ledger_corrupt", "A stored record is damaged"},
    {fault::not_implemented, status::not_implemented, "not_implemented", "Not implemented"},
    {fault::version_not_supported, status::version_not_supported, "version_not_supported",
     "The HTTP version is not supported"},
    {fault::ledger_unavailable, status::unavailable, "ledger_unavailable",
     "The ledger cannot be written"},
    {fault::outcome_unknown, status::unavailable, "outcome_unknown",
     "The outcome of the request is not known"},
    {fault::not_ready, status::unavailable, "not_ready", "The server is not ready"},
    {fault::timeout, status::unavailable, "timeout", "The answer did not come in time"},
};

constexpr bool rows_stand_in_order() {
  for (std::size_t i = 0; i < std::size(fault_rows); ++i)
    if (static_cast<std::size_t>(fault_rows[i].why) != i)
      return false;
  return std::size(fault_rows) == static_cast<std::size_t>(fault::timeout) + 1;
}
static_assert(rows_stand_in_order());

constexpr bool passes_by_itself(fault why) {
  return why == fault::queue_full || why == fault::too_many_connections
         || why == fault::too_many_connections_per_address || why == fault::ledger_unavailable
         || why == fault::outcome_unknown || why == fault::not_ready || why == fault::timeout;
}

void write_errors(json_writer& json, const std::vector<field_error>& errors) {
  json.key("errors").begin_array();
  for (const auto& each : errors) {
    json.begin_object().key("loc").begin_array();
    for (const auto& part : each.loc)
      std::visit([&](const auto& p) { json.value(p); }, part);
    json.end_array().member("msg", each.msg).member("type", each.type).end_object();
  }
  json.end_array();
}

} // namespace

problem problem::of(fault why, std::string detail) {
  const fault_row& found = fault_rows[static_cast<std::size_t>(why)];
  problem made;
  made.status = found.status;
  made.code = found.code;
  made.title = found.title;
  made.detail = detail.empty() ? std::string{found.title} + '.' : std::move(detail);
  if (why == fault::unauthorized)
    made.headers.emplace_back("WWW-Authenticate", "Bearer");
  else if (passes_by_itself(why))
    made.headers.emplace_back("Retry-After", "1");
  return made;
}

problem problem::invalid(std::vector<place_part> loc, std::string msg, std::string type) {
  problem made = of(fault::validation_failed, msg);
  made.errors.push_back({std::move(loc), std::move(msg), std::move(type)});
  return made;
}

std::string render(const problem& what, std::string_view request_id) {
  std::string text;
  text.reserve(256);
  json_writer json{text};
  json.begin_object()
      .member("type", "urn:runledger:problem:" + what.code)
      .member("title", what.title)
      .member("status", static_cast<unsigned>(what.status))
      .member("detail", what.detail)
      .member("code", what.code)
      .member("request_id", request_id);
  if (!what.errors.empty())
    write_errors(json, what.errors);
  if (!what.extra.empty()) {
    text += ',';
    text += what.extra;
  }
  json.end_object();
  return text;
}

} // namespace runledger::http
