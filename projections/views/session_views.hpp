#pragma once

#include "events/codec.hpp"
#include "events/timeline.hpp"
#include "projections/projection.hpp"
#include "projections/run_columns.hpp"
#include "projections/views/parking.hpp"

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace runledger::views {

/// Sessions, runs, timelines and artifacts: folded together, because a run lives in its session's
/// partition and timeline. Rows of what is unfinished are kept in memory between commits.
class session_views {
public:
  session_views(sqlite::connection& db, parking& parked);
  ~session_views();

  /// Takes a record of a session's or a run's stream.
  void fold(const record& r, change_set& changes);
  /// Writes what changed, each row once.
  void write(change_set& changes);
  /// After the commit.
  void settle();
  /// After a failed commit: forgets everything that is not in the file.
  void forget();

private:
  struct session_entry;
  struct run_entry;
  enum class reading { fits, unknown_type, damaged, unfit };

  session_entry* find_session(const std::string& id);
  run_entry* find_run(const std::string& id);
  run_entry* adopt(std::unique_ptr<run_entry> e);
  session_entry& make_session(const record& r);

  void fold_session(const record& r);
  void fold_run(const record& r, change_set& changes);
  reading apply_session(const record& r, session_entry& s, run_entry*& turn);
  reading apply_run(const record& r, run_entry& e, bool& quiet);
  run_entry* accept_turn(const record& r, session_entry& s, session::turn_accepted& fact);
  void apply(const record& r, run_entry& e, run::event& fact, bool& quiet);
  void end_run(const record& r, run_entry& e, run::phase how);
  void publish(const record& r, run_entry& e, run::artifact_published& fact);
  std::uint64_t add_item(const record& r, session_entry& s, const run_entry* run, bool quiet);
  void touch(session_entry& s);
  void touch(run_entry& e, bool phase_too);
  void park(run_entry& e, const record& r, std::string reason);
  void park(session_entry& s, const record& r, std::string reason);
  void write_session(session_entry& s);
  void write_timeline(session_entry& s);
  void write_run(run_entry& e);

  parking& parked_;
  std::unordered_map<std::string, std::unique_ptr<session_entry>> sessions_;
  std::unordered_map<std::string, std::unique_ptr<run_entry>> runs_;
  std::vector<session_entry*> touched_sessions_;
  std::vector<run_entry*> touched_runs_;
  std::vector<artifact_row> artifacts_;
  std::vector<place> artifact_runs_;
  query select_session_, select_session_at_, select_tail_, select_run_;
  query insert_session_, update_session_, insert_chunk_, update_chunk_;
  query insert_run_, update_run_, update_run_phase_, insert_artifact_;
};

} // namespace runledger::views
