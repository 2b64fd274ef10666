#include "http/requests/start_run.hpp"

namespace runledger::http {

result<start_run_body, problem> read_start_run(const json::value& object) {
  body_reader in{object};
  start_run_body out;
  auto prompt = in.find("prompt"), state = in.find("initial_state");
  if (!prompt && !state)
    in.complain_at({}, "Either `prompt` or `initial_state` is required.", "missing");
  if (prompt && state)
    in.complain_at({}, "`prompt` and `initial_state` exclude each other.", "mutually_exclusive");
  if (prompt) {
    if (!prompt->is_string())
      in.complain("prompt", "A string is expected.", "string_type");
    else if (prompt->string().empty())
      in.complain("prompt", "The text is empty.", "string_too_short");
    else
      out.prompt.json = prompt->raw();
  }
  if (state) {
    if (state->is_object())
      out.initial_state.json = state->raw();
    else
      in.complain("initial_state", "An object is expected.", "object_type");
  }
  if (!in.ok())
    return std::move(in).refusal();
  return out;
}

} // namespace runledger::http
