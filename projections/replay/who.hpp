#pragma once

#include "events/audit.hpp"
#include "events/log/event_log.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// Who touched an object, from the ledger alone.
namespace runledger::replay {

/// A span of events.
struct touches {
  std::uint64_t events = 0;
  timestamp first{}, last{};
};

/// What the ledger says of an API key.
struct key_facts {
  std::string title;
  workspace_id workspace;
  timestamp made_at{};
  std::string made_by; ///< The principal of its creation.
  std::optional<timestamp> revoked_at;
};

/// One principal and all that it did to the object.
struct toucher {
  std::string principal;        ///< `key_...`, `run_...` (its harness), `system`.
  std::optional<key_facts> key; ///< Of a key that the ledger knows.
  touches all;
  std::map<std::string, touches> by_type;    ///< `run.started` and so on.
  std::map<std::string, touches> by_request; ///< By the request's id; without one: none.
};

/// A refused call that was aimed at the object, or that the key made.
struct refused_attempt {
  std::string event_id, principal, request;
  std::string key_name;   ///< Of a key that the ledger knows.
  workspace_id workspace; ///< Of the asker.
  timestamp at{};
  audit::call_refused call;
};

struct who_report {
  std::string id;
  workspace_id workspace;                 ///< Of the object; empty: no event of it.
  std::vector<toucher> who;               ///< In the order of their first event.
  std::map<std::string, touches> streams; ///< What was touched: the object's streams; for a key,
                                          ///< all that it wrote to.
  std::vector<refused_attempt> refused;   ///< In the order of the ledger.
  std::int64_t suppressed = 0; ///< Refused calls, in the workspaces concerned, of which the ledger
                               ///< holds nothing but the number.
  std::uint64_t damaged = 0;   ///< Records that cannot be trusted and were left out.
  bool empty() const { return who.empty() && refused.empty(); }
};

/// What can be asked for: a run, session, agent, key, worker or workspace, by its id.
enum class who_subject : std::uint8_t { run, session, agent, key, worker, workspace };
/// Nothing: the text is no id of these.
std::optional<who_subject> who_subject_of(std::string_view id);

/// Reads every partition once. To the object belong
///   run        its stream, and what its session recorded of it
///   session    its stream and those of its runs
///   agent      its stream, its name, and the acceptance of its runs
///   worker     its stream, and the attempts that it was given
///   workspace  everything in it
///   key        its stream, and everything that it did
/// and the refused calls that name it; for a session also its runs, for a run also its session, for
/// an agent also its slug.
result<who_report, read_error> who_touched(const event_log& log, const std::string& id,
                                           who_subject subject);

} // namespace runledger::replay
