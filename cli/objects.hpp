#pragma once

#include "events/json.hpp"
#include "events/time.hpp"

#include <string>

/// The API's objects for people: several lines each. `now` is what times are told relative to.
namespace runledger::cli {

std::string run_text(const json::value& run, timestamp now, bool colour);
std::string session_text(const json::value& session, timestamp now, bool colour);
std::string worker_text(const json::value& worker, timestamp now, bool colour);
std::string analytics_text(const json::value& analytics, timestamp now);

} // namespace runledger::cli
