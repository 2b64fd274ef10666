#pragma once

#include "events/log/memory_log.hpp"
#include "projections/view_reader.hpp"
#include "projections/view_store.hpp"
#include "tests/sim/oracle.hpp"
#include "tests/support/seeds.hpp"

#include <memory>
#include <set>
#include <string>

namespace runledger::sim {

/// The views as they grow beside the servers: in batches of random sizes, with commits that fail
/// and files that are closed and opened again in between. Whenever they have caught up, the rows
/// that changed are compared with the oracle's fold, and now and then all of them with views that
/// are rebuilt from zero. One thread.
class watched_views {
public:
  watched_views(const memory_log& disk, const blob_store& blobs, oracle& judge, std::string folder,
                std::uint64_t seed);
  ~watched_views();
  watched_views(const watched_views&) = delete;
  watched_views& operator=(const watched_views&) = delete;

  /// Goes on, or not, as the dice say.
  void step();
  /// The process that folded them died and another one opens the file.
  void reopen();
  /// Catches up and compares everything.
  void finish();

private:
  void open();
  /// False: nothing was there to fold.
  bool fold(std::uint32_t partition, std::size_t batch_max);
  bool caught_up() const;
  bool apply(const std::vector<record_ptr>& batch);
  void compare_rows();
  void compare_run(const run_id& id);
  void compare_session(const session_id& id);
  void compare_with_rebuilt();
  void complain(const std::string& what);

  const memory_log& disk_;
  const blob_store& blobs_;
  oracle& judge_;
  std::string path_, rebuilt_path_;
  test::dice dice_;
  std::unique_ptr<views::view_store> store_;
  std::unique_ptr<views::view_reader> reader_;
  std::set<run_id> touched_runs_; ///< Since their rows were compared last.
  std::set<session_id> touched_sessions_;
};

} // namespace runledger::sim
