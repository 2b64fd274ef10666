#pragma once

#include "http/vocabulary.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// Errors as callers see them: RFC 9457 `application/problem+json`.
namespace runledger::http {

/// What can go wrong on any route. Each has one row (status, code, title) in problem.cpp, the only
/// such table.
enum class fault : std::uint8_t {
  malformed_json,
  bad_request,
  unauthorized,
  forbidden,
  not_found,
  method_not_allowed,
  request_timeout,
  conflict,
  payload_too_large,
  unsupported_media_type,
  range_not_satisfiable,
  expectation_failed,
  validation_failed,
  not_available,
  idempotency_conflict,
  queue_full,
  too_many_connections,             // Of the whole server: 503.
  too_many_connections_per_address, // Of one address: 429, under the same code.
  headers_too_large,
  internal,
  ledger_corrupt,
  not_implemented,
  version_not_supported,
  ledger_unavailable,
  outcome_unknown, // The deadline of a write passed: whether it happened is not known.
  not_ready,
  timeout, // The deadline of a read passed.
};

/// One part of the place of a validation error: a member's name or an element's index.
using place_part = std::variant<std::string, std::uint64_t>;

/// One entry of `errors`: `{loc: ["body", "recipe", "harness", "kind"], msg, type}`.
struct field_error {
  std::vector<place_part> loc;
  std::string msg;
  std::string type;
};

/// An error on its way to the caller. Make it with `of`, then adjust: a refusal of the domain keeps
/// the status of its fault and sets a `code` of its own.
struct problem {
  http::status status = http::status::internal;
  std::string code;
  std::string title;
  std::string detail;
  std::vector<field_error> errors;
  /// Further members as JSON without the braces: `"stream":"run_1","seq":4`. Empty: none.
  std::string extra;
  /// Header fields of the answer, such as Retry-After.
  std::vector<std::pair<std::string, std::string>> headers;
  /// Nothing was done, because another server holds this partition: it may be sent there as it is.
  std::optional<std::uint32_t> partition = {};

  /// The row of `why`. 401 brings WWW-Authenticate, the passing 429 and 503 bring Retry-After.
  static problem of(fault why, std::string detail = {});
  /// A 422 with one entry in `errors`.
  static problem invalid(std::vector<place_part> loc, std::string msg, std::string type);
};

/// The JSON text: `type, title, status, detail, code, request_id`, then `errors` if any, then
/// `extra`.
std::string render(const problem& what, std::string_view request_id);

} // namespace runledger::http
