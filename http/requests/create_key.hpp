#pragma once

#include "http/requests/body.hpp"

namespace runledger::http {

/// Body of `POST /keys`.
struct create_key_body {
  std::string name;
  std::vector<std::string> scopes;      ///< Each of them known, at least one.
  std::optional<std::string> workspace; ///< Absent: the caller's.
  std::optional<timestamp> expires_at;
};
result<create_key_body, problem> read_create_key(const json::value& object);

} // namespace runledger::http
