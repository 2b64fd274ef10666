#include "projections/rebuild.hpp"

#include "events/fail_point.hpp"
#include "events/log/boot.hpp"
#include "projections/sql.hpp"
#include "projections/view_names.hpp"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <future>
#include <numeric>

namespace runledger::views {

const char* const stopped = "stopped";

namespace {

constexpr std::size_t records_per_read = 8192;
/// Records folded into one transaction of a rebuild: enough that a run's events mostly meet in one.
constexpr std::size_t records_per_commit = 32'768;
constexpr std::size_t bytes_per_commit = std::size_t{32} << 20; ///< Of their data.

std::string beside_of(const std::string& path) {
  return path + ".new";
}

/// 0: it is not there.
std::uintmax_t file_size(const std::string& path) {
  std::error_code ec;
  const auto size = std::filesystem::file_size(path, ec);
  return ec ? 0 : size;
}

std::string not_written(const sqlite::error& why) {
  return "the views cannot be written: " + why.message;
}

using batch = std::vector<record_ptr>;

/// Feeds one partition to the store. The next records are read while the last ones are folded.
class partition_feed {
public:
  partition_feed(view_store& store, const event_log& log, std::uint32_t partition, std::int64_t end)
      : store_(store), log_(log), partition_(partition), end_(end) {}

  /// `each(reached)` is called behind each commit; false ends it.
  template <class Each>
  result<std::uint64_t, std::string> run(Each&& each) {
    const auto from = store_.next_offset(partition_);
    if (from >= end_)
      return 0;
    auto next = read_from(from);
    for (;;) {
      auto records = next.get();
      if (!records)
        return "the ledger cannot be read: " + records.error().detail;
      while (!records->empty() && records->back()->offset >= end_)
        records->pop_back();
      const bool last = records->empty() || records->back()->offset + 1 >= end_;
      if (!last)
        next = read_from(records->back()->offset + 1);
      for (const auto& r : *records)
        bytes_ += r->event.data.size();
      pending_.insert(pending_.end(), records->begin(), records->end());
      if (last || pending_.size() >= records_per_commit || bytes_ >= bytes_per_commit) {
        if (auto done = commit(); !done)
          return not_written(done.error());
        if (!each(last ? end_ : store_.next_offset(partition_)))
          return std::string{stopped};
      }
      if (last)
        return total_;
    }
  }

private:
  std::future<result<batch, read_error>> read_from(std::int64_t from) const {
    return std::async(std::launch::async, [this, from] {
      return log_.read_partition(partition_, from, records_per_read);
    });
  }

  result<void, sqlite::error> commit() {
    auto done = store_.apply(pending_);
    total_ += pending_.size();
    pending_.clear();
    bytes_ = 0;
    return done;
  }

  view_store& store_;
  const event_log& log_;
  const std::uint32_t partition_;
  const std::int64_t end_;
  batch pending_;
  std::size_t bytes_ = 0;
  std::uint64_t total_ = 0;
};

/// Moves what is in the live file's write-ahead log into the file. False: it is no database, or a
/// reader is in the way. Unsynced and with little patience: the file is about to be replaced, and
/// the runner may be waiting.
bool settle(const std::string& path) {
  constexpr int busy_timeout_ms = 50;
  auto db = sqlite::connection::open(path, sqlite::open_mode::read_write, busy_timeout_ms);
  if (!db || !db->exec("PRAGMA synchronous=OFF"))
    return false;
  auto busy = db->query_integer("PRAGMA wal_checkpoint(TRUNCATE)");
  return busy && busy->value_or(1) == 0;
}

/// Whether main and fresh stand at the same place of the same ledger.
bool at_same_position(sqlite::connection& db) {
  query unequal{db, "SELECT count(*) FROM (SELECT * FROM main.positions UNION "
                    "SELECT * FROM fresh.positions) AS every "
                    "WHERE (partition, next, hash) NOT IN (SELECT * FROM main.positions) "
                    "OR (partition, next, hash) NOT IN (SELECT * FROM fresh.positions)"};
  unequal.with().row();
  return unequal.values().integer() == 0;
}

} // namespace

std::int64_t sum_of(const offsets& of) {
  return std::accumulate(of.begin(), of.end(), std::int64_t{0});
}

offsets ends_of(const event_log& log) {
  offsets out;
  for (std::uint32_t p = 0; p < log.partition_count(); ++p)
    out.push_back(log.end_offset(p));
  return out;
}

result<std::uint64_t, std::string> fold_to(view_store& store, const event_log& log,
                                           const offsets& ends, const fold_watch& watch) {
  offsets reached;
  for (std::uint32_t p = 0; p < ends.size(); ++p)
    reached.push_back(std::min(store.next_offset(p), ends[p]));
  const auto began = sum_of(reached), end = sum_of(ends);
  std::uint64_t total = 0;
  for (std::uint32_t p = 0; p < ends.size(); ++p) {
    auto fed = partition_feed{store, log, p, ends[p]}.run([&](std::int64_t now) {
      reached[p] = now;
      if (watch.progress)
        watch.progress(static_cast<std::uint64_t>(sum_of(reached) - began),
                       static_cast<std::uint64_t>(end - began));
      return !watch.stop || !watch.stop();
    });
    if (!fed)
      return fed.error();
    total += *fed;
  }
  return total;
}

// The file beside.

std::string views_beside::path() const {
  return beside_of(live_);
}

result<views_beside, std::string> views_beside::open(const std::string& path,
                                                     const event_log& log) {
  views_beside out{path, log};
  if (distrust(out.path(), log))
    remove_database(out.path());
  auto store = view_store::open(out.path(), writing::bulk);
  if (!store) {
    remove_database(out.path());
    return not_written(store.error());
  }
  out.store_ = std::move(*store);
  out.continued_at_ = static_cast<std::uint64_t>(sum_of(out.position()));
  return out;
}

offsets views_beside::position() const {
  offsets out;
  for (std::uint32_t p = 0; p < log_->partition_count(); ++p)
    out.push_back(store_->next_offset(p));
  return out;
}

result<std::uint64_t, std::string> views_beside::fold(const offsets& ends,
                                                      const fold_watch& watch) {
  return fold_to(*store_, *log_, ends, watch);
}

result<void, std::string> views_beside::complete() {
  if (auto done = store_->finish_bulk(); !done)
    return not_written(done.error());
  return {};
}

result<void, std::string> views_beside::put_in_place() {
  store_.reset();
  if (file_size(path() + "-wal") > 0)
    return path() + " could not be closed: is the disk full?";
  if (auto done = unmark_clean(live_); !done)
    return done.error();
  // A write-ahead log is not told apart by its file's name, so the old one must be gone before the
  // new file comes; emptied first, because until then the old file is the one that counts. Where it
  // cannot be emptied, the old file goes first: the new one is complete, and found at the next
  // start.
  const bool settled = settle(live_);
  fail_point("view_before_switch");
  if (!settled)
    alone_ = ::unlink(live_.c_str()) == 0;
  for (const char* side : {"-wal", "-shm", "-journal"})
    ::unlink((live_ + side).c_str());
  fail_point("view_in_switch");
  if (std::rename(path().c_str(), live_.c_str()) != 0)
    return live_ + ": " + std::strerror(errno);
  return {};
}

result<bool, std::string> views_beside::replace_rows(std::string_view view) {
  store_.reset();
  const auto* what = find_view(view);
  if (what == nullptr)
    return "there is no view " + std::string{view};
  if (auto done = unmark_clean(live_); !done)
    return done.error();
  auto db = sqlite::connection::open(live_, sqlite::open_mode::read_write);
  if (!db)
    return not_written(db.error());
  try {
    query{*db, "ATTACH ? AS fresh"}.with(path()).run();
    run_sql(*db, "PRAGMA synchronous=OFF; BEGIN IMMEDIATE");
    if (!at_same_position(*db))
      return std::string{"the views have moved on meanwhile"};
    for (const auto table : what->tables) {
      const std::string name{table};
      run_sql(*db, ("DELETE FROM main." + name).c_str());
      run_sql(*db, ("INSERT INTO main." + name + " SELECT * FROM fresh." + name).c_str());
    }
    query{*db, "DELETE FROM main.parked WHERE view = ?"}.with(view).run();
    query{*db, "INSERT INTO main.parked SELECT * FROM fresh.parked WHERE view = ?"}
        .with(view)
        .run();
    query{*db, "UPDATE main.meta SET value = ? WHERE name = 'boot_id'"}.with(boot_id()).run();
    run_sql(*db, "COMMIT; DETACH fresh");
    query checkpoint{*db, "PRAGMA main.wal_checkpoint(TRUNCATE)"};
    const bool busy = !checkpoint.with().row() || checkpoint.values().truth();
    return result<bool, std::string>{boost::system::in_place_value, !busy};
  } catch (const sqlite::error& e) {
    return not_written(e);
  }
}

void views_beside::discard() {
  store_.reset();
  if (!alone_)
    remove_database(path());
}

void remove_beside(const std::string& path) {
  remove_database(beside_of(path));
}

namespace {

/// Where a live file is that can be trusted.
result<offsets, std::string> position_of(const std::string& path, const event_log& log) {
  if (auto why = distrust(path, log))
    return "one view alone cannot be mended in " + path + ": " + *why
           + ". Rebuild all of them (without --view)";
  auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
  if (!db)
    return path + ": " + db.error().message;
  try {
    offsets out(log.partition_count());
    query all{*db, "SELECT partition, next FROM positions"};
    while (all.row()) {
      auto row = all.values();
      const auto partition = static_cast<std::size_t>(row.integer());
      out.at(partition) = row.integer();
    }
    return out;
  } catch (const sqlite::error& e) {
    return path + ": " + e.message;
  }
}

bool is_behind(const offsets& one, const offsets& other) {
  for (std::size_t p = 0; p < one.size(); ++p)
    if (one[p] < other[p])
      return true;
  return false;
}

/// What was stopped stays for the next time; what failed does not.
std::string given_up(views_beside& beside, std::string why) {
  if (why != stopped)
    beside.discard();
  return why;
}

} // namespace

result<rebuilt, std::string> rebuild(const std::string& path, const event_log& log,
                                     const fold_watch& watch) {
  return rebuild(path, log, watch, ends_of(log));
}

result<rebuilt, std::string> rebuild(const std::string& path, const event_log& log,
                                     const fold_watch& watch, const offsets& ends) {
  auto beside = views_beside::open(path, log);
  if (!beside)
    return beside.error();
  rebuilt out{0, beside->continued_at()};
  auto folded = beside->fold(ends, watch);
  if (!folded)
    return given_up(*beside, folded.error());
  out.events = *folded;
  if (auto done = beside->complete(); !done)
    return given_up(*beside, done.error());
  if (auto done = beside->put_in_place(); !done)
    return given_up(*beside, done.error());
  ::malloc_trim(0); // A server goes on for long with what is needed now.
  return out;
}

result<rebuilt, std::string> rebuild_view(const std::string& path, const event_log& log,
                                          std::string_view view, const fold_watch& watch) {
  auto position = position_of(path, log);
  if (!position)
    return position.error();
  auto beside = views_beside::open(path, log);
  if (!beside)
    return beside.error();
  if (is_behind(*position, beside->position())) { // Left by a rebuild that was to go farther.
    beside->discard();
    beside = views_beside::open(path, log);
    if (!beside)
      return beside.error();
  }
  rebuilt out{0, beside->continued_at()};
  auto folded = beside->fold(*position, watch);
  if (!folded)
    return given_up(*beside, folded.error());
  out.events = *folded;
  auto replaced = beside->replace_rows(view);
  beside->discard();
  if (!replaced)
    return replaced.error();
  out.in_one_file = *replaced;
  return out;
}

} // namespace runledger::views
