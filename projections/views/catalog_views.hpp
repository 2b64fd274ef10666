#pragma once

#include "events/codec.hpp"
#include "events/queue.hpp"
#include "projections/projection.hpp"
#include "projections/rows.hpp"
#include "projections/views/parking.hpp"

#include <string>
#include <unordered_map>

namespace runledger::views {

/// Agents with their versions, workers, keys and workspaces. Rows that a batch touches are read
/// once, folded in memory and written once.
class catalog_views {
public:
  catalog_views(sqlite::connection& db, parking& parked);

  /// Takes a record of an agent's, worker's, key's or workspace's stream; others are ignored.
  void fold(const record& r, change_set& changes);
  void write();
  void settle() { forget(); }
  void forget();

private:
  template <class State>
  struct entry {
    place at = place::none;
    State state;
    bool stored = false, parked = false;
  };
  struct agent_entry : entry<agent::state> {
    std::vector<place> recipes; ///< The event that holds the recipe of version n, at n - 1.
  };

  /// A remote worker, as its queue's events tell.
  struct remote_worker {
    worker_row row;
    workspace_id workspace;
    bool exists = false;
  };

  agent_entry& find_agent(const record& r);
  entry<worker::state>& find_worker(const record& r);
  entry<key::state>& find_key(const record& r);
  entry<workspace::state>& find_workspace(const record& r);
  void apply(const record& r, agent_entry& e, const agent::event& fact);
  void apply(const record& r, entry<worker::state>& e, const worker::event& fact);
  void apply(const record& r, entry<key::state>& e, const key::event& fact);
  void apply(const record& r, entry<workspace::state>& e, const workspace::event& fact);
  template <class Event, class Entry>
  void fold_into(std::string_view view, const record& r, Entry& e);
  void write_agent(const std::string& id, const agent_entry& e);

  void fold_queue(const record& r);
  bool apply(const record& r, const queue::event& fact);
  remote_worker& find_remote(const record& r, const worker_id& id);
  void write_remote(const remote_worker& one);

  parking& parked_;
  std::unordered_map<std::string, agent_entry> agents_;
  std::unordered_map<std::string, entry<worker::state>> workers_;
  std::unordered_map<std::string, entry<key::state>> keys_;
  std::unordered_map<std::string, entry<workspace::state>> workspaces_;
  query select_agent_, select_versions_, write_agent_, write_version_;
  query select_worker_, write_worker_, select_key_, write_key_;
  query select_workspace_, write_workspace_;
  std::unordered_map<std::string, remote_worker> remote_;
  query select_remote_, write_remote_;
};

} // namespace runledger::views
