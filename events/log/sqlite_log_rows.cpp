#include "events/log/sqlite_log_rows.hpp"

#include "events/log/sqlite_rows.hpp"
#include "events/partition.hpp"

#include <string>
#include <string_view>

namespace runledger {

result<void, sqlite::error> sqlite_log_rows::prepare() {
  struct prepared {
    sqlite::statement& target;
    std::string sql;
  };
  const prepared all[] = {
      {begin_, "BEGIN IMMEDIATE"},
      {commit_, "COMMIT"},
      {rollback_, "ROLLBACK"},
      {insert_, sqlite::insert_event_sql()},
      {select_head_, "SELECT seq, eventhash, partitionkey, time, \"open\", due_ms FROM events"
                     " WHERE stream = ?1 ORDER BY seq DESC LIMIT 1"},
      {select_hash_,
       "SELECT eventhash, \"offset\", epoch FROM events WHERE stream = ?1 AND seq = ?2"},
      {set_unfinished_, "INSERT OR REPLACE INTO unfinished (stream, due_ms) VALUES (?1, ?2)"},
      {unset_unfinished_, "DELETE FROM unfinished WHERE stream = ?1"},
      {set_ledger_id_, "INSERT OR REPLACE INTO meta (name, value) VALUES ('ledger_id', ?1)"},
  };
  for (auto& p : all) {
    auto made = db_.prepare(p.sql);
    if (!made)
      return made.error();
    p.target = std::move(*made);
  }
  return {};
}

bool sqlite_log_rows::run(sqlite::statement& s) {
  sqlite::step_result step;
  do
    step = s.step();
  while (step == sqlite::step_result::row);
  if (step == sqlite::step_result::failed)
    remember_error();
  s.reset();
  return step == sqlite::step_result::done;
}

/// Always false, for the caller to return.
bool sqlite_log_rows::remember_error() {
  last_error_ = db_.last_error();
  return false;
}

bool sqlite_log_rows::insert(const record& r) {
  sqlite::bind_event(insert_, r);
  return run(insert_) && (r.event.type != partition_opened_type || note_ledger_id(r.event))
         && (r.origin.empty() || note_origin(r));
}

bool sqlite_log_rows::note_origin(const record& r) {
  if (!set_origin_) {
    auto made = sqlite::ensure_origins(db_);
    auto insert = made ? db_.prepare("INSERT INTO origins (\"offset\", origin) VALUES (?1, ?2)")
                       : result<sqlite::statement, sqlite::error>{made.error()};
    if (!insert) {
      last_error_ = insert.error();
      return false;
    }
    set_origin_ = std::move(*insert);
  }
  set_origin_.bind(1, sqlite::row_place(r.partition, r.offset)).bind(2, r.origin);
  return run(set_origin_);
}

/// The ledger's id, where a person with a SQLite tool looks for it.
bool sqlite_log_rows::note_ledger_id(const envelope& e) {
  auto opened = read_opened(e.data);
  if (!opened)
    return true;
  set_ledger_id_.bind(1, opened->ledger);
  return run(set_ledger_id_);
}

bool sqlite_log_rows::write_unfinished(const std::vector<head_cache::change>& changes) {
  for (const auto& c : changes) {
    const auto& now = c.stream->second;
    if (now.open == c.before.open && (!now.open || now.due_ms == c.before.due_ms))
      continue;
    auto& change = now.open ? set_unfinished_ : unset_unfinished_;
    change.bind(1, c.stream->first.value);
    if (now.open)
      change.bind(2, now.due_ms);
    if (!run(change))
      return false;
  }
  return true;
}

bool sqlite_log_rows::load_head(head_cache::entry& e, const stream_id& stream) {
  sqlite::reset_at_end reset{select_head_};
  select_head_.bind(1, stream.value);
  auto step = select_head_.step();
  if (step == sqlite::step_result::failed)
    return remember_error();
  if (step == sqlite::step_result::done)
    return true;
  e.head.seq = static_cast<std::uint64_t>(select_head_.integer(0));
  // A damaged hash becomes one that no event can follow.
  e.head.hash = digest_from_bytes(select_head_.blob(1)).value_or(sha256("damaged"));
  e.head.partition_key = select_head_.text(2);
  e.head.time = from_ms(select_head_.integer(3));
  e.open = select_head_.integer(4) != 0;
  if (!select_head_.is_null(5))
    e.due_ms = select_head_.integer(5);
  return true;
}

bool sqlite_log_rows::find(const stream_id& stream, std::uint64_t seq,
                           std::optional<stored_event>& found) {
  sqlite::reset_at_end reset{select_hash_};
  select_hash_.bind(1, stream.value).bind(2, static_cast<std::int64_t>(seq));
  auto step = select_hash_.step();
  found.reset();
  if (step == sqlite::step_result::failed)
    return remember_error();
  if (step == sqlite::step_result::done)
    return true;
  if (auto hash = digest_from_bytes(select_hash_.blob(0)))
    found = {*hash, select_hash_.integer(1), static_cast<std::uint64_t>(select_hash_.integer(2))};
  return true;
}

} // namespace runledger
