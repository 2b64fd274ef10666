#pragma once

#include "actors/engine.hpp"
#include "events/log/blob_store.hpp"
#include "events/log/event_log.hpp"
#include "events/time.hpp"
#include "http/key_ring.hpp"
#include "http/net.hpp"
#include "http/query_pool.hpp"
#include "http/requests/recipe_body.hpp"
#include "http/signed_url.hpp"
#include "http/sse_hub.hpp"
#include "projections/runner.hpp"
#include "projections/view_reader.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

namespace runledger::http {

/// How far the server has come. Only ever goes up.
enum class stage : std::uint8_t {
  starting, ///< The ledger is being taken up, the views catch up.
  serving,
  draining, ///< No new work; what is under way ends.
};

/// A request that waits for the end of a run.
class pending_wait {
public:
  /// Answers with the run as it is now.
  virtual void end_early() = 0;

protected:
  ~pending_wait() = default;
};

class neighbours;
struct kept_answer; // routes/projections.cpp
class worker_polls;

/// What handlers work on: everything behind the edge. All that is named here outlives the server.
/// HTTP thread only, except `at`.
struct route_context {
  net::io_context& io;
  event_log& log;
  blob_store& blobs;
  views::view_runner& views;
  const wall_clock& clock;
  key_ring& keys;
  const url_signer& urls;
  std::string data_dir;        ///< Absolute.
  std::string scheme = "http"; ///< Of links to this server, unless a trusted proxy says another.
  recipe_rules recipes = {};

  // Set before the stage is `serving`; handlers of keyed routes run from then on only.
  engine* actors = nullptr;
  std::unique_ptr<views::view_reader> reader = {}; ///< For single rows, on the HTTP thread.
  std::unique_ptr<query_pool> queries = {};
  std::unique_ptr<sse_hub> streams = {};
  std::shared_ptr<worker_polls> polls = {}; ///< Workers that poll.

  /// Requests that wait for the end of a run; a server that drains ends them early.
  std::unordered_set<pending_wait*> waits = {};

  /// The last answers to calls with an Idempotency-Key that leave no event behind.
  std::deque<std::shared_ptr<kept_answer>> kept_answers = {};

  /// Memory of bodies that handlers keep beyond their requests; counts with those of all requests.
  std::atomic<std::uint64_t> kept_bodies = 0;

  std::atomic<stage> at = stage::starting;
  /// Whether the ledger cannot be asked now, so that what is read may be old; may be empty.
  std::function<bool()> stale = {};
  /// Whether it is known which keys were revoked; may be empty: it always is.
  std::function<bool()> keys_are_known = {};
  /// Whether what changes something is accepted now (authenticator::takes_writes); may be empty: it
  /// always is.
  std::function<bool()> takes_writes = {};
  /// The other nodes; null: there are none.
  neighbours* others = nullptr;
  /// Appends metrics of the edge; set by whoever made the server.
  std::function<void(std::string&)> edge_metrics = {};
  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
};

} // namespace runledger::http
