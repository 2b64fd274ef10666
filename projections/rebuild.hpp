#pragma once

#include "events/log/event_log.hpp"
#include "events/result.hpp"
#include "projections/view_store.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

/// Views that are folded anew from the ledger, in a file beside the live one (docs/decisions/0080).
///
/// Errors are one sentence for the operator. A process that is killed leaves the file beside, and
/// the next rebuild goes on from its position, if it is of the same ledger, the same versions and
/// the same start of the machine. So does one that was stopped; after an error the file is removed.
/// Ownership: one process at a time (the data folder's lock), one thread at a time.
namespace runledger::views {

/// How whoever waits for a long fold takes part. Each may be empty.
struct fold_watch {
  /// Asked between batches; true ends the work with the error `stopped`.
  std::function<bool()> stop;
  /// Told between batches: offsets done here, of those that were to do.
  std::function<void(std::uint64_t done, std::uint64_t of)> progress;
};

/// The error of what was ended by fold_watch::stop.
extern const char* const stopped;

/// The next offset of each partition.
using offsets = std::vector<std::int64_t>;
/// How far that is, over all partitions.
std::int64_t sum_of(const offsets& of);
/// Of the ledger as it is now.
offsets ends_of(const event_log& log);

/// Folds each partition from where the store is up to `ends`; records behind them are left. The
/// number of records.
result<std::uint64_t, std::string> fold_to(view_store& store, const event_log& log,
                                           const offsets& ends, const fold_watch& watch);

/// The file beside the live one.
class views_beside {
public:
  /// Of the live file at `path`. Goes on from what lies there, or begins anew.
  static result<views_beside, std::string> open(const std::string& path, const event_log& log);

  /// Offsets that an earlier attempt had folded.
  std::uint64_t continued_at() const { return continued_at_; }
  offsets position() const;
  /// See fold_to().
  result<std::uint64_t, std::string> fold(const offsets& ends, const fold_watch& watch);
  /// Makes the list indexes: what readers need beside the rows.
  result<void, std::string> complete();
  /// Puts the file in the place of the live one, at once: whoever opens the path, and whenever the
  /// process is killed, there is the old file or the new one, whole; only where the old one is no
  /// database, or a foreign reader keeps its log from being taken in, is it removed before. Readers
  /// that have the old one open go on with it. Nobody may write to the live file. Nothing is
  /// synced.
  result<void, std::string> put_in_place();
  /// Replaces the rows of one view in the live file by these, in one transaction. Both must be at
  /// the same position. False: it is done, but a reader kept the write-ahead log from being taken
  /// in, so the file alone does not hold it.
  result<bool, std::string> replace_rows(std::string_view view);
  /// Closes the file, and removes it unless put_in_place() has removed the live one.
  void discard();

private:
  views_beside(std::string live, const event_log& log) : live_(std::move(live)), log_(&log) {}
  std::string path() const;

  std::string live_;
  const event_log* log_;
  std::unique_ptr<view_store> store_;
  std::uint64_t continued_at_ = 0;
  bool alone_ = false; ///< The live file is gone.
};

/// Removes what an interrupted rebuild of the file at `path` has left beside it.
void remove_beside(const std::string& path);

struct rebuilt {
  std::uint64_t events = 0;       ///< Folded now.
  std::uint64_t continued_at = 0; ///< Offsets that an interrupted rebuild had folded before.
  /// False: something is in the write-ahead log only, which nobody has synced (mark_clean).
  bool in_one_file = true;
};

/// How far a rebuild beside live views is. Offsets.
struct rebuild_status {
  bool under_way = false;
  std::uint64_t done = 0, total = 0;
  std::string failure; ///< Why the last one ended in vain; empty: it did not.
};

/// Folds the whole ledger, up to its end as it is now, into a new file beside `path`, and puts it
/// in its place. The live file need not be there, or be readable. On failure it stays as it was.
result<rebuilt, std::string> rebuild(const std::string& path, const event_log& log,
                                     const fold_watch& watch = {});
/// The same up to `ends`.
result<rebuilt, std::string> rebuild(const std::string& path, const event_log& log,
                                     const fold_watch& watch, const offsets& ends);

/// Rebuilds one view in a live file that can be trusted: folds beside up to the live file's
/// position, then replaces that view's rows. The other views stay as they are, to the byte.
result<rebuilt, std::string> rebuild_view(const std::string& path, const event_log& log,
                                          std::string_view view, const fold_watch& watch = {});

} // namespace runledger::views
