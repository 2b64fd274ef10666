#pragma once

#include "http/requests/body.hpp"

namespace runledger::http {

/// Body of `POST /workspaces`.
struct create_workspace_body {
  std::string id; ///< Empty: the server chooses.
  std::string name;
};
result<create_workspace_body, problem> read_create_workspace(const json::value& object);

} // namespace runledger::http
