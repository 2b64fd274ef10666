#pragma once

#include "cli/command.hpp"
#include "cli/sse_reader.hpp"
#include "events/json.hpp"

#include <functional>
#include <string>
#include <string_view>

namespace runledger::cli {

/// What matters of an item's data, by the item's type; the data as written for types that are not
/// known.
std::string essence(std::string_view type, const json::value& data, bool colour);
/// At most so many characters of it that a line stays readable.
std::string shortened(std::string text);

/// One line of a session's timeline for people: time, place, type, and what matters of its data.
std::string timeline_line(const json::value& item, bool colour);

/// The status with which an item ends this run: `succeeded`, `failed`, `cancelled`; empty for every
/// other item.
std::string final_status(const json::value& item, std::string_view run_id);

/// Follows an endpoint of server-sent events until `take` returns false. A lost connection is taken
/// up again exactly after the last event (Last-Event-ID), for as long as the server comes back
/// within a minute.
void follow(const api& server, const std::string& target,
            const std::function<bool(const sse_event&)>& take);

/// Follows a run to its end and prints each item; as JSON lines for --json. The run's final status.
std::string follow_run(const api& server, const std::string& run_id, bool quiet);

} // namespace runledger::cli
