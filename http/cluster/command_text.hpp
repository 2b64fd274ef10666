#pragma once

#include "actors/peers.hpp"
#include "events/result.hpp"

#include <optional>
#include <string>
#include <string_view>

/// Commands between nodes as JSON, the body of `POST /internal/v1/commands`, and their answers.
namespace runledger::http {

std::string command_text(const peer_command& command);
/// Nothing: it is malformed.
std::optional<peer_command> read_command(std::string_view text);

/// `{"replayed":true}`, or `{"refused":"name_taken","detail":"..."}`.
std::string outcome_text(const result<peer_done, refusal_info>& outcome);
/// What cannot be read is `outcome_unknown`.
result<peer_done, refusal_info> read_outcome(std::string_view text);

} // namespace runledger::http
