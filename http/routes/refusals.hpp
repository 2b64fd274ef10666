#pragma once

#include "actors/answer.hpp"
#include "events/log/event_log.hpp"
#include "http/problem.hpp"

namespace runledger::http {

/// How callers see that the engine did not do what was asked: the only map from runledger::errc to
/// status, code and text.
problem problem_of(const refusal_info& why);

/// The refusal that has this code; nothing: none has.
std::optional<errc> errc_of(std::string_view code);

/// The same for a read: 500 `ledger_corrupt` with stream, seq and offset, or 503.
problem problem_of(const read_error& why);

} // namespace runledger::http
