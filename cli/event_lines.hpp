#pragma once

#include "events/envelope.hpp"

#include <cstdint>
#include <string>
#include <unordered_map>

namespace runledger::cli {

/// Renders events of the ledger, one line each: for people time, place, type, who and what; as JSON
/// one CloudEvent. Feed it a session before the session's runs, so that it knows their turns.
class event_lines {
public:
  /// `own`: the stream that was asked for.
  event_lines(bool json, std::string own);

  /// The event's line, with its line feed; valid until the next call.
  const std::string& line(const record& r);

private:
  std::string place(const record& r);

  const bool json_, colour_;
  const std::string own_;
  std::unordered_map<std::string, std::int64_t> turns_; ///< By run.
  std::string line_;
};

} // namespace runledger::cli
