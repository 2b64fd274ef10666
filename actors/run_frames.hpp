#pragma once

#include "actors/harness/protocol.hpp"
#include "events/run.hpp"

#include <optional>
#include <string>

/// What the lines between a run and its harness mean. Pure.
namespace runledger {

/// What a frame means for the run. Nothing for frames that are no business of a run's. The frame
/// stays whole: after a refused append it is decided on again.
std::optional<run::frame_body> body_of(const harness::frame& f);

/// As `run.start` says them.
std::string limits_json(const run_limits& limits);
/// As `step.give_up` says it.
std::string error_json(const failure& why);

/// What the harness may have missed while it could not be reached: the server's answers that still
/// stand. It knows a line that it has got.
std::string lines_said_again(const run_id& run, const run::state& s, timestamp now);

} // namespace runledger
