#include "projections/view_store.hpp"

#include "events/fail_point.hpp"
#include "events/log/boot.hpp"
#include "events/planted_bugs.hpp"
#include "projections/schema.hpp"
#include "projections/sql.hpp"
#include "projections/views/catalog_views.hpp"
#include "projections/views/session_views.hpp"

namespace runledger::views {

namespace {

void make_tables(sqlite::connection& db) {
  run_sql(db, "BEGIN");
  run_sql(db, schema_tables);
  query meta{db, "INSERT INTO meta(name, value) VALUES(?,?)"};
  meta.with(std::string_view{"schema_version"}, std::to_string(schema_version)).run();
  meta.with(std::string_view{"fold_version"}, std::to_string(fold_version)).run();
  meta.with(std::string_view{"boot_id"}, boot_id()).run();
  run_sql(db, "COMMIT");
}

constexpr const char* live_pragmas =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; PRAGMA wal_autocheckpoint=4000; "
    "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY;";
constexpr const char* bulk_pragmas =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=OFF; "
    "PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY;";
constexpr const char* scratch_pragmas =
    "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE; "
    "PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY;";

const char* pragmas_for(writing mode) {
  switch (mode) {
    case writing::live:
      return live_pragmas;
    case writing::bulk:
      return bulk_pragmas;
    case writing::scratch:
      break;
  }
  return scratch_pragmas;
}

} // namespace

struct view_store::internals {
  struct position {
    std::int64_t next = 0;
    digest hash; ///< eventhash of the record before `next`.
    bool stored = false, moved = false;
  };

  sqlite::connection db;
  writing mode;
  std::map<std::uint32_t, position> positions;
  std::map<std::uint32_t, position> committed;
  change_set changes;
  std::optional<parking> parked;
  std::optional<session_views> sessions;
  std::optional<catalog_views> catalog;
  query begin, commit, insert_position, update_position;

  internals(sqlite::connection opened, writing how) : db(std::move(opened)), mode(how) {
    run_sql(db, pragmas_for(mode));
    auto tables = db.query_integer("SELECT count(*) FROM sqlite_schema");
    if (!tables)
      throw tables.error();
    if (tables->value_or(0) == 0) {
      make_tables(db);
      if (mode == writing::live)
        run_sql(db, schema_list_indexes);
    }
    parked.emplace(db);
    sessions.emplace(db, *parked);
    catalog.emplace(db, *parked);
    begin = query{db, "BEGIN IMMEDIATE"};
    commit = query{db, "COMMIT"};
    insert_position = query{db, "INSERT INTO positions(partition, next, hash) VALUES(?,?,?)"};
    update_position = query{db, "UPDATE positions SET next = ?, hash = ? WHERE partition = ?"};
    query all{db, "SELECT partition, next, hash FROM positions"};
    while (all.row()) {
      std::uint32_t partition = 0;
      position p;
      all.values().all(partition, p.next, p.hash);
      p.stored = true;
      positions[partition] = p;
    }
    committed = positions;
  }

  void fold(const record& r) {
    auto& at = positions[r.partition];
    at.next = r.offset + 1;
    at.hash = r.event.eventhash;
    at.moved = true;
    switch (kind_of(r.event.stream)) {
      case stream_kind::run:
      case stream_kind::session:
        sessions->fold(r, changes);
        break;
      default:
        catalog->fold(r, changes);
    }
  }

  void write() {
    begin.with().run();
    sessions->write(changes);
    catalog->write();
    parked->write();
    for (auto& [partition, p] : positions) {
      if (!p.moved)
        continue;
      if (p.stored)
        update_position.with(p.next, p.hash, partition).run();
      else
        insert_position.with(partition, p.next, p.hash).run();
    }
    fail_point("view_before_commit");
    commit.with().run();
    fail_point("view_after_commit");
  }

  void settle() {
    sessions->settle();
    catalog->settle();
    parked->settle();
    for (auto& [partition, p] : positions) {
      p.stored = p.stored || p.moved;
      p.moved = false;
    }
    committed = positions;
  }

  /// Back to what is in the file.
  void forget() {
    if (db.in_transaction()) [[maybe_unused]]
      auto undone = db.exec("ROLLBACK");
    changes = {};
    positions = committed;
    sessions->forget();
    catalog->forget();
    parked->forget();
  }
};

view_store::view_store(std::unique_ptr<internals> i) : internals_(std::move(i)) {}
view_store::~view_store() = default;

result<std::unique_ptr<view_store>, sqlite::error> view_store::open(const std::string& path,
                                                                    writing mode) {
  if (mode == writing::scratch)
    remove_database(path);
  auto db = sqlite::connection::open(path, sqlite::open_mode::create);
  if (!db)
    return db.error();
  try {
    return std::unique_ptr<view_store>{
        new view_store{std::make_unique<internals>(std::move(*db), mode)}};
  } catch (const sqlite::error& e) {
    return e;
  }
}

result<void, sqlite::error> view_store::apply(std::span<const record_ptr> batch) {
  auto& in = *internals_;
  in.changes = {};
  if (planted(bug::view_skips_event) && batch.size() > 1)
    batch = batch.subspan(1);
  if (batch.empty())
    return {};
  try {
    for (const auto& r : batch)
      in.fold(*r);
    in.write();
    in.settle();
    return {};
  } catch (const sqlite::error& e) {
    try {
      in.forget();
    } catch (const sqlite::error&) {
      // The file cannot be read either; the next apply fails again and says so.
    }
    return e;
  }
}

const change_set& view_store::changes() const {
  return internals_->changes;
}

std::int64_t view_store::next_offset(std::uint32_t partition) const {
  auto known = internals_->committed.find(partition);
  return known == internals_->committed.end() ? 0 : known->second.next;
}

result<void, sqlite::error> view_store::finish_bulk() {
  try {
    auto made = internals_->db.query_integer(
        "SELECT count(*) FROM sqlite_schema WHERE name = 'sessions_listed'");
    if (!made)
      return made.error();
    if (made->value_or(0) == 0) { // All or none, if the process dies.
      run_sql(internals_->db, "BEGIN");
      run_sql(internals_->db, schema_list_indexes);
      run_sql(internals_->db, "COMMIT");
    }
    run_sql(internals_->db, "PRAGMA locking_mode=NORMAL; PRAGMA journal_mode=WAL;");
    return {};
  } catch (const sqlite::error& e) {
    return e;
  }
}

result<bool, sqlite::error> view_store::sync() {
  auto& db = internals_->db;
  if (auto done = db.exec("PRAGMA synchronous=FULL"); !done)
    return done.error();
  auto busy = db.query_integer("PRAGMA wal_checkpoint(TRUNCATE)");
  if (auto done = db.exec("PRAGMA synchronous=OFF"); !done)
    return done.error();
  if (!busy)
    return busy.error();
  return result<bool, sqlite::error>{boost::system::in_place_value, busy->value_or(1) == 0};
}

result<void, sqlite::error> view_store::adopt_boot() {
  try {
    query update{internals_->db, "UPDATE meta SET value = ? WHERE name = 'boot_id'"};
    update.with(boot_id()).run();
    return {};
  } catch (const sqlite::error& e) {
    return e;
  }
}

sqlite::connection& view_store::database() {
  return internals_->db;
}

result<std::map<std::string, std::string>, sqlite::error> dump(const std::string& path) {
  auto db = sqlite::connection::open(path, sqlite::open_mode::read_write);
  if (!db)
    return db.error();
  std::map<std::string, std::string> out;
  try {
    query tables{*db, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'meta'"};
    while (tables.row()) {
      auto table = tables.values().text();
      query names{*db, "SELECT group_concat('quote(' || name || ')', ' || '','' || '), "
                       "group_concat(CASE WHEN pk > 0 THEN name END) FROM "
                       "(SELECT name, pk FROM pragma_table_info(?) ORDER BY cid)"};
      names.with(table).row();
      auto row = names.values();
      auto values = row.text(), key = row.text();
      names.reset();
      query all{*db, "SELECT " + values + " FROM " + table + " ORDER BY " + key};
      auto& text = out[table];
      while (all.row())
        text += all.values().text() + '\n';
    }
  } catch (const sqlite::error& e) {
    return e;
  }
  return out;
}

} // namespace runledger::views
