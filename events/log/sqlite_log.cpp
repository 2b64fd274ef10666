#include "events/log/sqlite_log.hpp"

#include "events/log/read_bounds.hpp"
#include "events/log/sqlite_log_reader.hpp"
#include "events/log/sqlite_log_writer.hpp"
#include "events/log/sqlite_rows.hpp"
#include "events/log/sqlite_source.hpp"
#include "events/log/sync_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <deque>
#include <limits>
#include <mutex>
#include <vector>

namespace runledger {

namespace {

constexpr auto first_row = std::numeric_limits<std::int64_t>::min();
constexpr auto beyond_rows = std::numeric_limits<std::int64_t>::max();
/// How often a read is repeated whose file was written to behind it.
constexpr int most_reads = 20;
/// A commit writes the WAL and does not sync it: that is what complete() does. Checkpoints sync the
/// WAL first, then the file.
constexpr const char* ledger_settings = "PRAGMA synchronous = NORMAL;"
                                        "PRAGMA cache_size = -8192;"
                                        "PRAGMA cache_spill = OFF;"
                                        "PRAGMA temp_store = MEMORY;"
                                        "PRAGMA wal_autocheckpoint = 0";

/// Makes the WAL `bytes` long with zeros, which hold no frame. A flush of a growing file writes the
/// file system's own journal as well. Without room it stays as it is.
void preallocate_wal(sqlite::connection& db, const std::string& wal, std::int64_t bytes) {
  int fd = ::open(wal.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0)
    return;
  std::vector<char> zeros(std::size_t{1} << 20);
  if (db.exec("BEGIN IMMEDIATE")) { // Nobody adds frames meanwhile.
    auto used = ::lseek(fd, 0, SEEK_END);
    auto at = used;
    while (at >= 0 && at < bytes) {
      auto size = std::min(zeros.size(), static_cast<std::size_t>(bytes - at));
      auto written = ::pwrite(fd, zeros.data(), size, at);
      if (written <= 0) {
        (void)!::ftruncate(fd, used);
        break;
      }
      at += written;
    }
    ::fdatasync(fd);
    (void)db.exec("ROLLBACK");
  }
  ::close(fd);
}

std::string place(const read_error& e) {
  if (e.what == read_error::kind::unavailable)
    return e.detail;
  return "the ledger is corrupt at " + e.stream.value + " seq " + std::to_string(e.seq)
         + ", offset " + std::to_string(e.offset) + ": " + e.detail;
}

result<sqlite::connection, std::string> open_writing(const std::string& path,
                                                     const sqlite_log_options& options) {
  bool is_new = ::access(path.c_str(), F_OK) != 0;
  auto db = sqlite::connection::open(path, sqlite::open_mode::create, options.busy_timeout_ms);
  if (!db)
    return db.error().message;
  auto mode = db->query_text("PRAGMA journal_mode = WAL");
  if (!mode)
    return path + ": " + mode.error().message;
  if (**mode != "wal")
    return path + " cannot use a write-ahead log (journal mode " + **mode + ")";
  if (auto set = db->exec(ledger_settings); !set)
    return path + ": " + set.error().message;
  if (auto ready = sqlite::prepare_ledger_file(*db, path, true); !ready)
    return ready.error();
  if (is_new)
    (void)sync_folder(options.folder);
  preallocate_wal(*db, path + "-wal", options.wal_preallocated_bytes);
  return std::move(*db);
}

} // namespace

/// What readers and the appending thread share.
struct sqlite_log::shared_state {
  mutable std::mutex mutex;      ///< Guards everything here but the atomics and the listener.
  std::deque<record_ptr> recent; ///< The end of the partition, without gaps.
  std::size_t recent_weight = 0;
  partition_head state;
  std::optional<std::string> failed;
  std::vector<std::unique_ptr<reader>> idle_readers;
  std::shared_ptr<const sqlite_source> source; ///< Where the readers read; only with read_only.

  std::mutex listener_mutex; ///< Held during the call: who takes a listener away may destroy it.
  std::function<void()> listener;

  std::atomic<std::int64_t> end{0};
  std::atomic<std::uint64_t> groups{0}, events{0}, rejected{0}, checkpoints{0};
  std::atomic<std::int64_t> wal_bytes{0};
};

/// A reader and what it reads.
struct sqlite_log::reader_lease {
  std::unique_ptr<reader> mine;
  std::shared_ptr<const sqlite_source> source;
};

sqlite_log::sqlite_log(sqlite_log_options options)
    : options_(std::move(options)),
      path_(options_.file.empty() ? options_.folder + "/ledger.db" : options_.file),
      shared_(std::make_unique<shared_state>()) {}

sqlite_log::~sqlite_log() {
  syncer_.reset();
  shared_->idle_readers.clear();
  if (writer_ && shared_->failed)
    writer_->give_up(*shared_->failed);
  writer_.reset();
  if (wal_fd_ >= 0)
    ::close(wal_fd_);
}

result<std::unique_ptr<sqlite_log>, std::string> sqlite_log::open(sqlite_log_options options) {
  std::unique_ptr<sqlite_log> log{new sqlite_log{std::move(options)}};
  if (auto started = log->start(); !started)
    return started.error();
  return log;
}

result<void, std::string> sqlite_log::start() {
  if (options_.read_only)
    return start_reading();
  auto db = open_writing(path_, options_);
  if (!db)
    return db.error();
  auto second = sqlite::connection::open(path_, sqlite::open_mode::read_write, 0);
  if (!second)
    return second.error().message;
  if (auto set = second->exec(ledger_settings); !set)
    return path_ + ": " + set.error().message;
  auto checkpointer =
      std::make_unique<sqlite_checkpointer>(std::move(*second), [this](const sqlite::error& e) {
        fail("the ledger's checkpoint failed: " + e.message + " (code " + std::to_string(e.code)
             + ")");
      });
  writer_ = std::make_unique<writer>(options_, std::move(*db), std::move(checkpointer));
  if (auto loaded = load_partition_state(); !loaded)
    return loaded.error();
  wal_fd_ = ::open((path_ + "-wal").c_str(), O_RDWR | O_CLOEXEC);
  if (wal_fd_ < 0)
    return path_ + "-wal: " + std::strerror(errno);
  syncer_ = std::make_unique<sqlite_syncer>();
  return writer_->prepare(shared_->end.load(), shared_->state);
}

result<void, std::string> sqlite_log::start_reading() {
  for (int attempt = 0; attempt < most_reads; ++attempt) {
    auto source = sqlite_source::look_at(path_);
    if (!source)
      return source.error();
    auto db = (*source)->connect(options_.busy_timeout_ms);
    if (!db)
      return db.error().message;
    auto known = sqlite::prepare_ledger_file(*db, path_, false);
    if (!(*source)->still_good())
      continue;
    if (!known)
      return known.error();
    shared_->source = std::move(*source);
    return load_partition_state();
  }
  return path_ + " is written to all the time: it cannot be read now";
}

result<void, std::string> sqlite_log::load_partition_state() {
  auto end = with_reader([](reader& r) { return r.end(first_row, beyond_rows); });
  if (!end)
    return path_ + ": " + place(end.error());
  auto state = with_reader([&](reader& r) { return r.partition_state(head_of_empty(0, name_)); });
  shared_->end = *end;
  if (state)
    shared_->state = *state;
  else if (!options_.read_only || state.error().what != read_error::kind::corrupt)
    return path_ + ": " + place(state.error());
  return {};
}

result<sqlite_log::reader_lease, read_error> sqlite_log::take_reader() const {
  reader_lease out;
  {
    std::lock_guard guard{shared_->mutex};
    out.source = shared_->source;
    if (!shared_->idle_readers.empty()) {
      out.mine = std::move(shared_->idle_readers.back());
      shared_->idle_readers.pop_back();
      return out;
    }
  }
  auto failed = [](const sqlite::error& e) {
    return read_error{read_error::kind::unavailable, {}, 0, -1, e.message};
  };
  auto db = out.source ? out.source->connect(options_.busy_timeout_ms)
                       : sqlite::connection::open(path_, sqlite::open_mode::read_only,
                                                  options_.busy_timeout_ms);
  if (!db)
    return failed(db.error());
  auto opened = reader::on(std::move(*db));
  if (!opened)
    return failed(opened.error());
  out.mine = std::move(*opened);
  return out;
}

bool sqlite_log::give_back(reader_lease lease) const {
  const bool good = !lease.source || lease.source->still_good();
  std::lock_guard guard{shared_->mutex};
  auto& s = *shared_;
  if (!good && s.source == lease.source) {
    s.idle_readers.clear();
    if (auto fresh = sqlite_source::look_at(path_))
      s.source = std::move(*fresh);
  }
  if (good && s.source == lease.source && s.idle_readers.size() < idle_readers_kept)
    s.idle_readers.push_back(std::move(lease.mine));
  return good;
}

template <class Use>
auto sqlite_log::with_reader(Use&& use) const -> decltype(use(std::declval<reader&>())) {
  for (int attempt = 0; attempt < most_reads; ++attempt) {
    auto lease = take_reader();
    if (!lease)
      return lease.error();
    auto out = use(*lease->mine);
    if (give_back(std::move(*lease)))
      return out;
  }
  return read_error{read_error::kind::unavailable, {}, 0, -1, path_ + " changes while it is read"};
}

void sqlite_log::append(std::vector<append_request> group, completion done) {
  if (!writer_) {
    std::vector<append_result> refused(
        group.size(), {append_outcome::unavailable, verdict::accepted, "opened for reading"});
    return done(std::move(refused));
  }
  if (auto why = failed())
    writer_->give_up(*why);
  auto results = writer_->write(group);
  if (writer_->dead())
    fail(*writer_->dead());
  for (const auto& r : results)
    if (r.outcome == append_outcome::rejected)
      shared_->rejected.fetch_add(1, std::memory_order_relaxed);
  // What an earlier group waits for, later ones wait for too: they are published in their order.
  if (syncer_->idle()
      && (group.size() < options_.background_requests || writer_->written().empty()))
    complete(std::move(results), writer_->written(), writer_->state(), done);
  else
    syncer_->hand_over(
        [this, results = std::move(results), written = writer_->written(), state = writer_->state(),
         done = std::move(done)]() mutable { complete(std::move(results), written, state, done); });
  writer_->tend_wal();
  shared_->wal_bytes.store(writer_->wal_bytes(), std::memory_order_relaxed);
  shared_->checkpoints.store(writer_->checkpoints(), std::memory_order_relaxed);
  if (writer_->dead())
    fail(*writer_->dead());
}

void sqlite_log::complete(std::vector<append_result> results,
                          const std::vector<std::shared_ptr<record>>& written,
                          const partition_head& state, const completion& done) {
  if (!written.empty() && ::fdatasync(wal_fd_) != 0) {
    // What is on disk is not known any more.
    auto why = "the ledger cannot be written: its write-ahead log was not synced: "
               + std::string{std::strerror(errno)};
    fail(why);
    for (auto& r : results)
      if (r.outcome == append_outcome::accepted)
        r = {append_outcome::unknown, verdict::accepted, why};
  } else if (!written.empty()) {
    publish(written, state);
    std::lock_guard guard{shared_->listener_mutex};
    if (shared_->listener)
      shared_->listener();
  }
  done(std::move(results));
}

void sqlite_log::publish(const std::vector<std::shared_ptr<record>>& written,
                         const partition_head& state) {
  auto& s = *shared_;
  s.groups.fetch_add(1, std::memory_order_relaxed);
  s.events.fetch_add(written.size(), std::memory_order_relaxed);
  std::vector<record_ptr> gone; // Freed after the lock.
  std::lock_guard guard{s.mutex};
  s.state = state;
  for (const auto& r : written) {
    s.recent.push_back(r);
    s.recent_weight += weight(*r);
  }
  while (
      !s.recent.empty()
      && (s.recent.size() > options_.recent_records || s.recent_weight > options_.recent_bytes)) {
    s.recent_weight -= weight(*s.recent.front());
    gone.push_back(std::move(s.recent.front()));
    s.recent.pop_front();
  }
  s.end.store(written.back()->offset + 1, std::memory_order_release);
}

void sqlite_log::fail(const std::string& why) {
  std::lock_guard guard{shared_->mutex};
  if (!shared_->failed)
    shared_->failed = why;
}

result<std::vector<record_ptr>, read_error>
sqlite_log::read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const {
  return with_reader([&](reader& r) { return r.stream(stream, from_seq, limit, synced_end()); });
}

result<std::vector<record_ptr>, read_error> sqlite_log::read_partition(std::uint32_t partition,
                                                                       std::int64_t from_offset,
                                                                       std::size_t limit) const {
  std::vector<record_ptr> out;
  if (partition != 0 || limit == 0)
    return out;
  {
    auto& s = *shared_;
    std::lock_guard guard{s.mutex};
    if (!options_.read_only && from_offset >= s.end.load(std::memory_order_relaxed))
      return out;
    if (!s.recent.empty() && from_offset >= s.recent.front()->offset) {
      auto first = static_cast<std::size_t>(from_offset - s.recent.front()->offset);
      auto count = std::min(limit, s.recent.size() - first);
      auto begin = s.recent.begin() + static_cast<std::ptrdiff_t>(first);
      out.assign(begin, begin + static_cast<std::ptrdiff_t>(count));
      return out;
    }
  }
  return with_reader([&](reader& r) {
    return r.partition(from_offset, limit, options_.verify_partition_reads, synced_end());
  });
}

result<std::size_t, read_error> sqlite_log::read_rows(std::int64_t from_offset,
                                                      std::vector<record>& into) const {
  return with_reader([&](reader& r) { return r.rows(from_offset, into); });
}

result<std::optional<stream_head>, read_error> sqlite_log::head(const stream_id& stream) const {
  return with_reader([&](reader& r) { return r.head(stream, synced_end()); });
}

/// Rows from here on are written, but perhaps not durable yet.
std::int64_t sqlite_log::synced_end() const {
  return options_.read_only ? beyond_rows : shared_->end.load(std::memory_order_acquire);
}

partition_head sqlite_log::partition_state(std::uint32_t) const {
  std::lock_guard guard{shared_->mutex};
  return shared_->state;
}

std::int64_t sqlite_log::end_offset(std::uint32_t partition) const {
  if (partition != 0)
    return 0;
  if (!options_.read_only)
    return shared_->end.load(std::memory_order_acquire);
  auto end = with_reader([](reader& r) { return r.end(first_row, beyond_rows); });
  return end ? *end : shared_->end.load(std::memory_order_acquire);
}

void sqlite_log::on_append(std::function<void()> listener) {
  std::lock_guard guard{shared_->listener_mutex};
  shared_->listener = std::move(listener);
}

result<std::vector<unfinished_stream>, read_error>
sqlite_log::unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const {
  if (partition != 0)
    return std::vector<unfinished_stream>{};
  return with_reader([&](reader& r) { return r.unfinished(std::nullopt, after, limit); });
}

std::optional<std::string> sqlite_log::failed() const {
  std::lock_guard guard{shared_->mutex};
  return shared_->failed;
}

sqlite_log_figures sqlite_log::figures() const {
  const auto& s = *shared_;
  return {s.groups.load(std::memory_order_relaxed), s.events.load(std::memory_order_relaxed),
          s.rejected.load(std::memory_order_relaxed), s.checkpoints.load(std::memory_order_relaxed),
          s.wal_bytes.load(std::memory_order_relaxed)};
}

} // namespace runledger
