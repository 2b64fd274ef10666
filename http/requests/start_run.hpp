#pragma once

#include "http/requests/body.hpp"

namespace runledger::http {

/// Body of `POST .../runs`: `prompt` or `initial_state`, not both.
struct start_run_body {
  payload prompt;        ///< A JSON string.
  payload initial_state; ///< A JSON object, verbatim.
};
result<start_run_body, problem> read_start_run(const json::value& object);

} // namespace runledger::http
