#include "http/requests/fork_run.hpp"

namespace runledger::http {

result<std::string, problem> read_fork_run(const json::value& object) {
  constexpr std::size_t key_length_max = 200; // As in the harness protocol.
  body_reader in{object};
  auto at = in.required_text("at", {1, key_length_max});
  if (!in.ok())
    return std::move(in).refusal();
  return at;
}

} // namespace runledger::http
