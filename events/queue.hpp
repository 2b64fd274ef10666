#pragma once

#include "events/fields.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

/// A QUEUE of remote work: which remote workers serve it, and which run each of them has leased.
/// Stream `queue/<workspace>/<name>`. Runs that wait are no facts of its own (their sessions say
/// that they wait), and neither are heartbeats: they live in memory, and who takes the queue over
/// gives every lease one full period.
namespace runledger::queue {

/// What a queue may be called: 1 to 64 of letters, digits, `.`, `_` and `-`.
bool is_name(std::string_view text);

// Facts. Stored forever: add members with defaults, never rename, never reuse a name.

/// A remote worker serves the queue from here on, with so many slots (also: with another number of
/// them).
struct worker_joined {
  static constexpr std::string_view name = "queue.worker_joined";
  worker_id worker;
  std::string title; ///< What its operator calls it.
  std::int64_t slots = 1;
  friend bool operator==(const worker_joined&, const worker_joined&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("worker_id", f.worker);
    v("name", f.title);
    v("slots", f.slots);
  }
};

/// It serves the queue no more. All its leases have ended before.
struct worker_left {
  static constexpr std::string_view name = "queue.worker_left";
  worker_id worker;
  std::string reason; ///< `drained`; `silent`: its lease period passed without a sign of life.
  friend bool operator==(const worker_left&, const worker_left&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("worker_id", f.worker);
    v("reason", f.reason);
  }
};

/// An attempt of a run is given to a worker. What the worker says counts as long as this lease is
/// the run's last one.
struct lease_granted {
  static constexpr std::string_view name = "queue.lease_granted";
  run_id run;
  worker_id worker;
  std::int64_t lease_epoch = 0; ///< Grows with every lease of the queue.
  std::int64_t attempt = 0;     ///< Of the run: the one that is to begin.
  friend bool operator==(const lease_granted&, const lease_granted&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("run_id", f.run);
    v("worker_id", f.worker);
    v("lease_epoch", f.lease_epoch);
    v("attempt", f.attempt);
  }
};

/// The worker was silent for the whole lease period; the run goes on elsewhere.
struct lease_expired {
  static constexpr std::string_view name = "queue.lease_expired";
  run_id run;
  worker_id worker;
  std::int64_t lease_epoch = 0, attempt = 0;
  friend bool operator==(const lease_expired&, const lease_expired&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("run_id", f.run);
    v("worker_id", f.worker);
    v("lease_epoch", f.lease_epoch);
    v("attempt", f.attempt);
  }
};

/// The lease is over in another way.
struct lease_released {
  static constexpr std::string_view name = "queue.lease_released";
  run_id run;
  worker_id worker;
  std::int64_t lease_epoch = 0, attempt = 0;
  /// `done`: the harness said its last word; `cut_off`: the run ended the attempt; `returned`: the
  /// worker gave it back; `lost`: the worker does not know of it; `superseded`: the run waits anew.
  std::string reason;
  friend bool operator==(const lease_released&, const lease_released&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("run_id", f.run);
    v("worker_id", f.worker);
    v("lease_epoch", f.lease_epoch);
    v("attempt", f.attempt);
    v("reason", f.reason);
  }
};

using event =
    std::variant<worker_joined, worker_left, lease_granted, lease_expired, lease_released>;

// State: a fold over the facts and nothing else.

struct member {
  std::string title;
  std::int64_t slots = 0;
  friend bool operator==(const member&, const member&) = default;
};
struct lease {
  worker_id worker;
  std::int64_t epoch = 0, attempt = 0;
  friend bool operator==(const lease&, const lease&) = default;
};
struct state {
  std::map<std::string, member, std::less<>> workers; ///< By id.
  std::map<std::string, lease, std::less<>> leases;   ///< By run.
  std::int64_t last_epoch = 0;
  friend bool operator==(const state&, const state&) = default;
};

/// Unfinished work: somebody has to listen for signs of life.
bool open(const state& s);
/// The run's lease, if `epoch` is the one.
const lease* find(const state& s, std::string_view run, std::int64_t epoch);
/// How many leases a worker has.
std::int64_t leases_of(const state& s, const worker_id& worker);

// Requests.

struct join {
  worker_id worker;
  std::string title;
  std::int64_t slots = 1;
};
/// All its leases are given back, and it is gone.
struct leave {
  worker_id worker;
  std::string reason;
};
struct grant {
  run_id run;
  worker_id worker;
  std::int64_t attempt = 0;
};
struct release {
  run_id run;
  std::int64_t epoch = 0;
  std::string reason;
};
/// The worker was silent for too long: all its leases expire, and it is gone.
struct expire {
  worker_id worker;
};
using command = std::variant<join, leave, grant, release, expire>;

enum class rejection : std::uint8_t {
  unknown_worker = 1,
  no_free_slot,
  already_leased, ///< The run has a lease.
  not_leased,     ///< That lease is over, or never was.
};

struct outcome {
  std::vector<event> facts;
};
using decision = runledger::result<outcome, rejection>;

[[nodiscard]] decision decide(const state& now, const command& asked);
[[nodiscard]] state evolve(state before, const event& fact);
bool fits(const state& now, const event& fact);

} // namespace runledger::queue
