#pragma once

#include "actors/state_probe.hpp"
#include "events/codec.hpp"
#include "events/json.hpp"
#include "events/log/memory_log.hpp"
#include "events/node.hpp"
#include "events/queue.hpp"
#include "events/tree_head.hpp"

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>

namespace runledger::sim {

/// Judges the ledger as an outsider: it reads what reached the partitions, decides by itself what
/// is accepted (with a rule written down a second time, not with events/fold), folds the entities,
/// and checks what must hold after every event. One thread.
class oracle {
public:
  explicit oracle(const memory_log& disk) : disk_(disk), partitions_(disk.partition_count()) {}

  /// Takes in what is new. Cheap if nothing is.
  void catch_up();
  /// The first thing that is wrong; empty: nothing.
  const std::string& problem() const { return problem_; }
  void complain(std::string what);

  /// What an attempt that counts against a run is allowed to rest on.
  std::function<bool(const run::state&, const run_id&, std::int64_t attempt)> may_count;
  /// Called for every accepted event, in order.
  std::function<void(const record&)> on_event;

  struct stream {
    std::vector<digest> hashes; ///< Of the accepted events; seq 1 stands at 0.
    std::string partition_key;
    workspace_id workspace;
    timestamp time{};
    std::variant<std::monostate, run::state, session::state, agent::state, names::state,
                 worker::state, key::state, workspace::state, queue::state>
        state;
  };
  const stream* find(const stream_id& id) const;
  const run::state* run_of(const run_id& id) const;
  const session::state* session_of(const session_id& id) const;
  /// True if this very event is accepted.
  bool holds(const envelope& e) const;
  std::size_t events() const { return events_; }
  /// Accepted events that no tree head covers.
  std::uint64_t unsigned_events() const {
    std::uint64_t sum = 0;
    for (const auto& p : partitions_)
      sum += p.tree.size() - p.signed_events;
    return sum;
  }
  /// Every run that was accepted, with its session.
  const std::map<run_id, session_id>& accepted_runs() const { return accepted_runs_; }
  const std::unordered_map<stream_id, stream>& streams() const { return streams_; }
  /// What accepted a run.
  struct accepted_turn {
    session_id session;
    session::turn_accepted fact;
    timestamp at{};
  };
  /// Of a run in accepted_runs().
  const accepted_turn& turn_of(const run_id& id) const { return turns_.at(id); }
  std::optional<timestamp> cancelled_at(const session_id& id) const;

  /// A line that a server writes to a harness of this run. It may be late, from a server that lost
  /// the ledger, and never early.
  void check_line(const std::string& run, const json::value& line);

#ifdef RUNLEDGER_PLANT_BUGS
  /// An actor's state right after a commit.
  void compare(const state_probe& seen);
#endif

private:
  struct run_notes {
    std::set<std::string> frames;
    std::set<std::string> acknowledged; ///< Frames that were, and had no event then.
    std::map<std::string, std::int64_t> executions;
    std::set<std::string> done, gave_up;
    micro_usd cost{0};
    std::int64_t attempt = 0, counted = 0, steps = 0;
    timestamp backoff_due{};
    bool terminal = false, cancel_requested = false, backing_off = false;
    bool must_fail_for_cost = false;
  };

  /// Of one partition.
  struct partition_notes {
    std::size_t seen = 0;
    std::uint64_t epoch = 0;
    bool opened = false;
    std::string ledger;
    merkle::tree tree; ///< Over the accepted events but the partition's own.
    std::uint64_t signed_events = 0;
  };

  void catch_up(std::uint32_t partition);
  std::string_view broken_rule(const record& r, std::uint32_t partition) const;
  std::string_view broken_claim_rule(const record& r, std::uint32_t partition) const;
  bool lives_in(const envelope& e, std::uint32_t partition) const;
  void take(const record& r);
  void take_key(const record& r);
  void check_tree_head(const record& r);
  template <class Traits, class State>
  bool fold(stream& s, const record& r);
  void check_run(const run_id& id, const run::event& fact, const record& r, const run::state& now);
  void check_step(run_notes& n, const run::event& fact, const record& r);
  void check_end(run_notes& n, const run::event& fact, const record& r, const run::state& now);
  void check_sums(const run_id& id, const run::state& now, const record& r);
  void check_counted(run_notes& n, const run_id& id, const failure& error, bool counted,
                     const run::state& now, const record& r);
  void check_session(const session_id& id, const session::event& fact, const record& r);
  void wrong(const record& r, const std::string& what);

  const memory_log& disk_;
  std::vector<partition_notes> partitions_;
  std::size_t events_ = 0;
  std::string problem_;
  std::unordered_map<stream_id, stream> streams_;
  std::map<run_id, run_notes> runs_;
  std::map<run_id, session_id> accepted_runs_;
  std::map<run_id, accepted_turn> turns_;
  std::map<session_id, timestamp> cancelled_;
  std::map<std::string, run_id> keyed_;
  std::map<std::string, std::vector<ed25519::public_key>> node_keys_; ///< By their stream.
};

} // namespace runledger::sim
