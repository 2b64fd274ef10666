#pragma once

#include "actors/answer.hpp"
#include "events/codec.hpp"
#include "events/ids.hpp"

#include <cstdint>
#include <functional>
#include <string>

/// What an entity of a partition that this process holds asks of one that another process holds.
namespace runledger {

/// The attributes that every event of a command carries.
struct event_origin {
  std::string causation_id, correlation_id, principal, traceparent;
};

/// One command for an entity elsewhere: the fact that it wishes for, as its events are written,
/// and whose wish that is. `origin.causation_id` is the command's id: whoever gets it twice answers
/// as the first time.
///
/// `agent.created` and `workspace.created` create what bears a name that was claimed; an event of
/// an audit stream records a refused call; `node.key_registered` makes a node's key known;
/// `worker.process_started` and `worker.process_ended` report on a slot.
struct peer_command {
  stream_id stream; ///< Of the entity; it is its own partition key.
  workspace_id workspace;
  event_origin origin;
  encoded_fact fact;
  std::string node;      ///< With a worker's report: whose slot it is.
  std::int64_t slot = 0; ///< Likewise.
};

/// It was done. What became of the entity is in its stream.
struct peer_done {
  bool replayed = false; ///< By an earlier command with the same id or key.
};

/// The way to the other processes that hold partitions of this ledger. Any thread; returns at once;
/// outlives the engine. It does not repeat anything itself.
class peers {
public:
  virtual ~peers() = default;
  /// Hands a command to whoever holds the partition. `not_owner`: nobody is known to, or it could
  /// not be reached, and nothing was done; `outcome_unknown`: the answer got lost. Answers in
  /// bounded time, on any thread, perhaps before it returns.
  virtual void send(std::uint32_t partition, peer_command what, answer<peer_done> to) = 0;
  /// Calls `then(true)` once this process has read everything that was in the ledger when it was
  /// asked; `then(false)` if that cannot be told now. On any thread, perhaps before it returns.
  virtual void when_current(std::function<void(bool)> then) = 0;
};

} // namespace runledger
