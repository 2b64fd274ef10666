#include "events/log/replica.hpp"

#include "events/log/boot.hpp"
#include "events/log/read_bounds.hpp"
#include "events/log/sqlite_log_reader.hpp"
#include "events/log/sqlite_log_rows.hpp"
#include "events/log/sqlite_rows.hpp"

#include <sqlite3.h>
#include <unistd.h>

#include <algorithm>
#include <limits>

namespace runledger {

namespace {

constexpr int busy_timeout_ms = 5000;
constexpr std::int64_t no_bound = std::numeric_limits<std::int64_t>::max();
constexpr const char* replica_settings = "PRAGMA synchronous = OFF;"
                                         "PRAGMA cache_size = -16384;"
                                         "PRAGMA cache_spill = OFF;"
                                         "PRAGMA temp_store = MEMORY;"
                                         "PRAGMA wal_autocheckpoint = 4000";
constexpr const char* replica_schema = "CREATE TABLE IF NOT EXISTS replica_positions ("
                                       " \"partition\" INTEGER PRIMARY KEY,"
                                       " next_offset INTEGER NOT NULL,"
                                       " last_offset INTEGER NOT NULL,"
                                       " last_hash BLOB NOT NULL" // As it came, rejected or not.
                                       ") STRICT";

read_error unreadable(const sqlite::error& e) {
  return {read_error::kind::unavailable, {}, 0, -1, e.message};
}

result<void, sqlite::error> set_meta(sqlite::connection& db, std::string_view name,
                                     std::string_view value) {
  auto s = db.prepare("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)");
  if (!s)
    return s.error();
  s->bind(1, name).bind(2, value);
  if (s->step() != sqlite::step_result::done)
    return db.last_error();
  return {};
}

std::string meta(sqlite::connection& db, const std::string& name) {
  auto found = db.query_text("SELECT value FROM meta WHERE name = '" + name + "'");
  return found && *found ? **found : std::string{};
}

} // namespace

replica::replica(replica_options options)
    : options_(std::move(options)), heads_(options_.cached_heads) {
  forget();
}

/// As before the first event.
void replica::forget() {
  idle_readers_.clear();
  set_position_ = {};
  rows_.reset();
  const auto count = options_.names.size();
  fold_.clear();
  published_.clear();
  published_.resize(count);
  positions_.assign(count, {});
  for (std::uint32_t p = 0; p < count; ++p) {
    fold_.push_back(head_of_empty(p, options_.names[p]));
    published_[p].state = fold_.back();
  }
}

replica::~replica() {
  idle_readers_.clear();
  set_position_ = {};
  if (!rows_ || !in_order_)
    return;
  auto& db = rows_->db();
  const bool synced =
      db.exec("PRAGMA synchronous = FULL")
      && sqlite3_wal_checkpoint_v2(db.raw(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr)
             == SQLITE_OK;
  if (synced)
    (void)set_meta(db, "clean", "1");
}

result<std::unique_ptr<replica>, std::string> replica::open(replica_options options) {
  std::unique_ptr<replica> out{new replica{std::move(options)}};
  if (auto started = out->start(); !started)
    return started.error();
  return out;
}

/// What the file must be a copy of.
std::string replica::identity() const {
  auto out = options_.source;
  for (const auto& name : options_.names)
    if (name.number == 0)
      out += ' ' + name.topic + ':' + std::to_string(name.count);
  return out;
}

result<void, std::string> replica::start() {
  if (::access(options_.path.c_str(), F_OK) == 0) {
    auto used = use();
    if (used && !made_anew_)
      used = load();
    if (used && !made_anew_)
      return {};
    if (!used)
      made_anew_ = used.error();
    forget();
    remove_database(options_.path);
  }
  if (auto made = make(); !made)
    return made.error();
  return load();
}

std::optional<std::string> replica::why_unusable() {
  auto& db = rows_->db();
  if (auto why = meta(db, "distrusted"); !why.empty())
    return why;
  if (auto of = meta(db, "replica_of"); of != identity())
    return "it is a copy of another ledger (" + of + "; this one is " + identity() + ")";
  if (meta(db, "clean") != "1" && (boot_id().empty() || meta(db, "boot_id") != boot_id()))
    return std::string{"the machine stopped before the file was safe"};
  return std::nullopt;
}

/// Opens the file that is there; made_anew_ is set where it is of no use.
result<void, std::string> replica::use() {
  auto db = sqlite::connection::open(options_.path, sqlite::open_mode::read_write, busy_timeout_ms);
  if (!db)
    return db.error().message;
  if (auto known = sqlite::prepare_ledger_file(*db, options_.path, false); !known)
    return known.error();
  if (auto ready = sqlite::ensure_origins(*db); !ready) // An earlier version's has none.
    return ready.error().message;
  rows_ = std::make_unique<sqlite_log_rows>(std::move(*db));
  made_anew_ = why_unusable();
  return {};
}

result<void, std::string> replica::make() {
  auto text = [&](const sqlite::error& e) { return options_.path + ": " + e.message; };
  auto db = sqlite::connection::open(options_.path, sqlite::open_mode::create, busy_timeout_ms);
  if (!db)
    return db.error().message;
  if (auto mode = db->query_text("PRAGMA journal_mode = WAL"); !mode)
    return text(mode.error());
  if (auto ready = sqlite::prepare_ledger_file(*db, options_.path, true); !ready)
    return ready.error();
  if (auto made = db->exec(replica_schema); !made)
    return text(made.error());
  if (auto named = set_meta(*db, "replica_of", identity()); !named)
    return text(named.error());
  rows_ = std::make_unique<sqlite_log_rows>(std::move(*db));
  return {};
}

/// Reads where the partitions stand, and marks the file as in use.
result<void, std::string> replica::load() {
  auto& db = rows_->db();
  auto text = [&](const sqlite::error& e) { return options_.path + ": " + e.message; };
  // Synced before anything else is written without a sync: else a power cut could leave the mark of
  // a clean end on pages that are half written.
  if (auto synced = db.exec("PRAGMA synchronous = FULL"); !synced)
    return text(synced.error());
  if (auto used = set_meta(db, "clean", "0"); !used)
    return text(used.error());
  if (auto booted = set_meta(db, "boot_id", boot_id()); !booted)
    return text(booted.error());
  if (auto moved = db.exec("PRAGMA wal_checkpoint(TRUNCATE)"); !moved)
    return text(moved.error());
  if (auto set = db.exec(replica_settings); !set)
    return text(set.error());
  if (auto ready = rows_->prepare(); !ready)
    return text(ready.error());
  auto insert = db.prepare("INSERT OR REPLACE INTO replica_positions VALUES (?1, ?2, ?3, ?4)");
  if (!insert)
    return text(insert.error());
  set_position_ = std::move(*insert);
  auto places = db.prepare("SELECT * FROM replica_positions");
  if (!places)
    return text(places.error());
  while (places->step() == sqlite::step_result::row) {
    const auto p = static_cast<std::size_t>(places->integer(0));
    if (p < positions_.size())
      positions_[p] = {places->integer(1), places->integer(2),
                       digest_from_bytes(places->blob(3)).value_or(digest{})};
  }
  for (std::uint32_t p = 0; p < options_.names.size(); ++p) {
    auto state = with_reader([&](sqlite_log_reader& r) { return r.partition_state(fold_[p]); });
    auto end = with_reader([&](sqlite_log_reader& r) {
      return r.end(sqlite::row_place(p, 0), sqlite::row_place(p + 1, 0));
    });
    if (!state || !end)
      return options_.path + ": " + (state ? end.error().detail : state.error().detail);
    fold_[p] = published_[p].state = *state;
    published_[p].end = *end == 0 ? 0 : *end - sqlite::row_place(p, 0);
  }
  in_order_ = true;
  return {};
}

void replica::distrust(const std::string& why) {
  in_order_ = false;
  auto db = sqlite::connection::open(options_.path, sqlite::open_mode::read_write, busy_timeout_ms);
  if (db)
    (void)set_meta(*db, "distrusted", why);
}

const sqlite::error& replica::last_error() const {
  return rows_->last_error();
}

/// The stream's entry, looked up where it is not in memory; nullptr: the file cannot be read.
head_cache::node* replica::find_head(const stream_id& stream) {
  if (auto* known = heads_.find(stream))
    return known;
  auto* added = heads_.insert(stream);
  if (rows_->load_head(added->second, stream))
    return added;
  heads_.erase(added);
  return nullptr;
}

verdict replica::judge_one(raw_record& r, bool sound) {
  auto& state = fold_[r.partition];
  auto* stream = find_head(r.event->event.stream);
  if (stream == nullptr) {
    read_failed_ = true;
    return verdict::gap;
  }
  auto& e = stream->second;
  auto v = judge_own(state, e.head.seq > 0 ? &e.head : nullptr, *r.event);
  if ((v == verdict::accepted || v == verdict::duplicate) && !sound)
    v = verdict::bad_hash;
  if (v == verdict::accepted) {
    const auto before = head_cache::save(e);
    advance(state, e.head, *r.event);
    e.open = r.event->open;
    e.due_ms = r.event->due_ms;
    heads_.touch(stream, before);
  } else if (e.head.seq == 0) {
    heads_.erase(stream);
  }
  return v;
}

bool replica::judge(std::vector<raw_record>& batch) {
  // The hashes, which cost the most, are computed before anybody has to wait.
  std::vector<bool> sound(batch.size());
  for (std::size_t i = 0; i < batch.size(); ++i)
    sound[i] = batch[i].event && hashes_match(batch[i].event->event);
  std::lock_guard guard{fold_mutex_};
  for (std::size_t i = 0; i < batch.size() && !read_failed_; ++i)
    if (batch[i].event)
      batch[i].outcome = judge_one(batch[i], sound[i]);
  return !read_failed_;
}

bool replica::write_position(std::uint32_t partition, const replica_position& at) {
  set_position_.bind(1, std::int64_t{partition})
      .bind(2, at.next)
      .bind(3, at.last)
      .bind_blob(4, at.last_hash.view());
  return rows_->run(set_position_);
}

bool replica::store(const std::vector<raw_record>& batch,
                    const std::vector<std::pair<std::uint32_t, replica_position>>& read) {
  bool good = rows_->begin();
  for (std::size_t i = 0; good && i < batch.size(); ++i)
    if (batch[i].event && batch[i].outcome == verdict::accepted)
      good = rows_->insert(*batch[i].event);
  for (std::size_t i = 0; good && i < read.size(); ++i)
    good = write_position(read[i].first, read[i].second);
  good = good && rows_->write_unfinished(heads_.changes()) && rows_->commit();
  if (!good) {
    const auto why = rows_->last_error();
    if (rows_->db().in_transaction())
      rows_->rollback();
    rows_->remember(why);
    return false;
  }
  {
    std::lock_guard guard{fold_mutex_};
    heads_.commit();
  }
  std::lock_guard guard{mutex_};
  for (const auto& [partition, at] : read)
    positions_[partition] = at;
  return true;
}

void replica::publish(const std::vector<raw_record>& batch) {
  std::vector<partition_head> states;
  {
    std::lock_guard guard{fold_mutex_};
    states = fold_;
  }
  std::vector<record_ptr> gone; // Freed after the lock.
  std::lock_guard guard{mutex_};
  for (const auto& r : batch) {
    if (!r.event || r.outcome != verdict::accepted)
      continue;
    auto& p = published_[r.partition];
    p.recent.push_back(r.event);
    p.end = r.offset + 1;
    recent_order_.emplace_back(r.partition, weight(*r.event));
    recent_weight_ += recent_order_.back().second;
  }
  for (std::size_t p = 0; p < states.size(); ++p)
    published_[p].state = std::move(states[p]);
  while (!recent_order_.empty()
         && (recent_order_.size() > options_.recent_records
             || recent_weight_ > options_.recent_bytes)) {
    auto& from = published_[recent_order_.front().first].recent;
    gone.push_back(std::move(from.front()));
    from.pop_front();
    recent_weight_ -= recent_order_.front().second;
    recent_order_.pop_front();
  }
}

verdict replica::compare_stored(const record& r) {
  std::optional<sqlite_log_rows::stored_event> there;
  if (!rows_->find(r.event.stream, r.event.seq, there) || !there
      || there->hash != r.event.eventhash)
    return verdict::stale_seq;
  return there->epoch == r.epoch ? verdict::duplicate : verdict::wrong_epoch;
}

std::optional<stream_head> replica::known_head(const stream_id& stream) const {
  std::lock_guard guard{fold_mutex_};
  const auto* known = heads_.look(stream);
  if (known == nullptr || known->head.seq == 0)
    return std::nullopt;
  return known->head;
}

partition_head replica::fold_state(std::uint32_t partition) const {
  std::lock_guard guard{fold_mutex_};
  return fold_[partition];
}

replica_position replica::position(std::uint32_t partition) const {
  std::lock_guard guard{mutex_};
  return positions_[partition];
}

template <class Use>
auto replica::with_reader(Use&& use) const -> decltype(use(std::declval<sqlite_log_reader&>())) {
  std::unique_ptr<sqlite_log_reader> mine;
  {
    std::lock_guard guard{mutex_};
    if (!idle_readers_.empty()) {
      mine = std::move(idle_readers_.back());
      idle_readers_.pop_back();
    }
  }
  if (!mine) {
    auto db =
        sqlite::connection::open(options_.path, sqlite::open_mode::read_only, busy_timeout_ms);
    if (!db)
      return unreadable(db.error());
    auto opened = sqlite_log_reader::on(std::move(*db));
    if (!opened)
      return unreadable(opened.error());
    mine = std::move(*opened);
  }
  auto out = use(*mine);
  std::lock_guard guard{mutex_};
  if (idle_readers_.size() < idle_readers_kept)
    idle_readers_.push_back(std::move(mine));
  return out;
}

result<std::vector<record_ptr>, read_error>
replica::read_stream(const stream_id& stream, std::uint64_t from_seq, std::size_t limit) const {
  return with_reader(
      [&](sqlite_log_reader& r) { return r.stream(stream, from_seq, limit, no_bound); });
}

result<std::vector<record_ptr>, read_error> replica::read_partition(std::uint32_t partition,
                                                                    std::int64_t from_offset,
                                                                    std::size_t limit) const {
  std::vector<record_ptr> out;
  if (partition >= options_.names.size() || limit == 0)
    return out;
  std::int64_t end = 0;
  {
    std::lock_guard guard{mutex_};
    const auto& p = published_[partition];
    end = p.end;
    if (from_offset >= end)
      return out;
    if (!p.recent.empty() && from_offset >= p.recent.front()->offset) {
      auto at = std::ranges::lower_bound(p.recent, from_offset, {}, &record::offset);
      for (std::size_t bytes = 0;
           at != p.recent.end() && out.size() < limit && bytes < read_bytes_limit; ++at) {
        out.push_back(*at);
        bytes += out.back()->event.data.size();
      }
      return out;
    }
  }
  const auto from = sqlite::row_place(partition, std::max<std::int64_t>(from_offset, 0));
  return with_reader([&](sqlite_log_reader& r) {
    return r.partition(from, limit, true, sqlite::row_place(partition, end));
  });
}

result<std::optional<stream_head>, read_error> replica::head(const stream_id& stream) const {
  return with_reader([&](sqlite_log_reader& r) { return r.head(stream, no_bound); });
}

partition_head replica::partition_state(std::uint32_t partition) const {
  std::lock_guard guard{mutex_};
  return published_[partition].state;
}

std::int64_t replica::end_offset(std::uint32_t partition) const {
  std::lock_guard guard{mutex_};
  return partition < published_.size() ? published_[partition].end : 0;
}

result<std::vector<unfinished_stream>, read_error>
replica::unfinished(std::uint32_t partition, const stream_id& after, std::size_t limit) const {
  return with_reader([&](sqlite_log_reader& r) { return r.unfinished(partition, after, limit); });
}

} // namespace runledger
