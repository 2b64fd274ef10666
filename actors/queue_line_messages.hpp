#pragma once

#include "actors/harness/protocol.hpp"
#include "actors/harness/worker_protocol.hpp"
#include "events/ids.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

/// What the holder of a run and the holder of its queue say to each other, where they are two
/// processes (docs/decisions/0136). Pure.
///
/// A message is a JSON object on one line; behind its line feed follow bytes as they are: the lines
/// for a harness, or the message of a worker. Both ends are servers of one cluster, of the same
/// version: what cannot be read ends the line.
namespace runledger::line {

// What the run's side says.

/// The run waits for a worker. Again: after an attempt.
struct wait_for_worker {
  run_id run;
  session_id session;
  std::int64_t attempt = 0; ///< That is to begin.
  bool again = false;
  std::uint64_t epoch = 0; ///< Of the claim under which the run is held.
};
/// It waits no more.
struct stop_waiting {
  run_id run;
};
/// Its attempt is under way: is the lease still its own?
struct resume {
  run_id run;
  std::int64_t attempt = 0;
  std::uint64_t epoch = 0; ///< As above.
};
/// The attempt begins under the lease.
struct begin {
  run_id run;
  std::int64_t lease = 0, attempt = 0, heartbeat_ms = 0, drain_ms = 0;
  std::vector<std::pair<std::string, std::string>> environment; ///< Resolved; may hold secrets.
  std::string lines;
};
struct write {
  run_id run;
  std::string lines;
};
/// The run needs its worker no more; or it `moves`: another process goes on with it.
struct finish {
  run_id run;
  std::int64_t lease = 0;
  bool clean = true, moves = false;
};
/// Frame `number` was decided, and what it led to is durable.
struct done {
  std::uint64_t number = 0;
};

// What the queue's side says.

/// A worker has leased the run.
struct granted {
  run_id run;
  std::int64_t lease = 0;
  worker_id worker;
};
/// A frame of the attempt's harness; `number` counts from 1 on each line.
struct frame {
  run_id run;
  std::int64_t attempt = 0;
  std::uint64_t number = 0;
  harness::frame what;
};
/// The attempt's harness is gone, or the lease is.
struct gone {
  run_id run;
  std::int64_t attempt = 0;
  std::string code, message;
  bool counted = false;
};
/// The answer to `resume`: it is.
struct resumed {
  run_id run;
  std::int64_t lease = 0, attempt = 0;
};
/// The run's worker is here again: lines to it may have been lost.
struct returned {
  run_id run;
  std::int64_t lease = 0;
};

using message = std::variant<wait_for_worker, stop_waiting, resume, begin, write, finish, done,
                             granted, frame, gone, resumed, returned>;

std::string to_text(const message& what);
/// Nothing: it is none.
std::optional<message> parse(std::string_view text);

} // namespace runledger::line
