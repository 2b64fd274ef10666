#pragma once

#include "http/requests/body.hpp"

namespace runledger::http {

/// The body of `POST /runs/{run}/fork`: the key of the first step that is executed again.
result<std::string, problem> read_fork_run(const json::value& object);

} // namespace runledger::http
