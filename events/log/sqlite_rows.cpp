#include "events/log/sqlite_rows.hpp"

#include <sqlite3.h>

#include <limits>

namespace runledger::sqlite {

namespace {

constexpr const char* schema_sql = R"(
BEGIN IMMEDIATE;
CREATE TABLE events (
  "offset"      INTEGER PRIMARY KEY,  -- place in the partition
  stream        TEXT NOT NULL,        -- CloudEvents subject; id = stream:seq
  seq           INTEGER NOT NULL,
  type          TEXT NOT NULL,
  workspace     TEXT NOT NULL,        -- source = /runledger/<workspace>
  "partition"   INTEGER NOT NULL,
  partitionkey  TEXT NOT NULL,
  time          INTEGER NOT NULL,     -- milliseconds since 1970, UTC
  epoch         INTEGER NOT NULL,     -- the writer's
  "open"        INTEGER NOT NULL,     -- 1: the stream has unfinished work after this event
  due_ms        INTEGER,              -- its next timer, milliseconds since 1970
  causationid   TEXT NOT NULL,
  correlationid TEXT NOT NULL,
  principal     TEXT NOT NULL,
  traceparent   TEXT NOT NULL,
  datahash      BLOB NOT NULL,        -- SHA-256 of data
  prevhash      BLOB NOT NULL,        -- eventhash of the predecessor in the stream
  eventhash     BLOB NOT NULL,        -- SHA-256 of the canonical header
  data          TEXT NOT NULL,        -- JSON
  UNIQUE (stream, seq)
) STRICT;
CREATE TABLE unfinished (             -- streams whose last event is open
  stream TEXT PRIMARY KEY,
  due_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE origins (                -- of events that were copied from another ledger
  "offset" INTEGER PRIMARY KEY,       -- as in events
  origin   TEXT NOT NULL              -- <ledger>:<partition's own stream>:<leaf>
) STRICT;
CREATE TABLE meta (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('schema_version', '1');
PRAGMA application_id = 1382960231;
PRAGMA user_version = 1;
COMMIT;
)";
static_assert(ledger_application_id == 1382960231 && ledger_schema_version == 1,
              "the schema's text repeats both");

enum column : int {
  col_offset,
  col_stream,
  col_seq,
  col_type,
  col_workspace,
  col_partition,
  col_partition_key,
  col_time,
  col_epoch,
  col_open,
  col_due_ms,
  col_causation_id,
  col_correlation_id,
  col_principal,
  col_traceparent,
  col_datahash,
  col_prevhash,
  col_eventhash,
  col_data,
};

constexpr std::int64_t min_time_ms = -62'167'219'200'000; // 0000-01-01
constexpr std::int64_t max_time_ms = 253'402'300'799'999; // 9999-12-31T23:59:59.999

/// Takes values out of a row and remembers the first that is not what its column promises.
class row_reader {
public:
  row_reader(const statement& row, std::string& damage) : row_(row), damage_(damage) {}

  std::int64_t integer(int column, const char* name, std::int64_t min,
                       std::int64_t max = std::numeric_limits<std::int64_t>::max()) {
    auto* value = value_of(column);
    if (sqlite3_value_type(value) != SQLITE_INTEGER) {
      bad(name, "is no integer");
      return min;
    }
    auto number = sqlite3_value_int64(value);
    if (number >= min && number <= max)
      return number;
    bad(name, "is out of range");
    return min;
  }

  void text(int column, const char* name, std::string& out) {
    auto* value = value_of(column);
    const bool is_text = sqlite3_value_type(value) == SQLITE_TEXT;
    const auto* bytes =
        is_text ? reinterpret_cast<const char*>(sqlite3_value_text(value)) : nullptr;
    if (bytes != nullptr) {
      out.assign(bytes, static_cast<std::size_t>(sqlite3_value_bytes(value)));
      return;
    }
    out.clear();
    bad(name, "is no text");
  }

  digest hash(int column, const char* name) {
    auto* value = value_of(column);
    if (sqlite3_value_type(value) == SQLITE_BLOB) {
      const auto* bytes = static_cast<const char*>(sqlite3_value_blob(value));
      if (auto d = digest_from_bytes({bytes, static_cast<std::size_t>(sqlite3_value_bytes(value))}))
        return *d;
    }
    bad(name, "is no hash of 32 bytes");
    return {};
  }

  bool is_null(int column) const { return sqlite3_value_type(value_of(column)) == SQLITE_NULL; }

private:
  /// One call instead of one for each question. Nobody else uses the connection meanwhile.
  sqlite3_value* value_of(int column) const { return sqlite3_column_value(row_.raw(), column); }
  void bad(const char* name, const char* why) {
    if (damage_.empty())
      damage_ = std::string{"column "} + name + ' ' + why;
  }
  const statement& row_;
  std::string& damage_;
};

result<void, std::string> check_version(std::int64_t version, const std::string& path) {
  if (version > ledger_schema_version)
    return path + " has ledger schema " + std::to_string(version)
           + ", written by a newer version of runledger; this one reads schemas up to "
           + std::to_string(ledger_schema_version);
  if (version < 1)
    return path + " has ledger schema " + std::to_string(version) + ", which never existed";
  return {};
}

} // namespace

result<void, std::string> prepare_ledger_file(connection& db, const std::string& path,
                                              bool writable) {
  auto text = [&](const error& e) {
    return path + (e.primary() == SQLITE_NOTADB ? " is not a runledger ledger: " : ": ")
           + e.message;
  };
  auto application = db.query_integer("PRAGMA application_id");
  if (!application)
    return text(application.error());
  auto version = db.query_integer("PRAGMA user_version");
  if (!version)
    return text(version.error());
  if (**application == ledger_application_id)
    return check_version(**version, path);
  auto tables = db.query_integer("SELECT count(*) FROM sqlite_master");
  if (!tables)
    return text(tables.error());
  if (**application != 0 || **version != 0 || **tables != 0 || !writable)
    return path + " is not a runledger ledger";
  if (auto made = db.exec(schema_sql); !made) {
    auto why = text(made.error());
    if (db.in_transaction())
      (void)db.exec("ROLLBACK");
    return why;
  }
  return {};
}

result<bool, error> has_origins(connection& db) {
  auto found = db.query_integer(
      "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = 'origins'");
  if (!found)
    return found.error();
  return {boost::system::in_place_value, *found && **found > 0};
}

result<void, error> ensure_origins(connection& db) {
  return db.exec("CREATE TABLE IF NOT EXISTS origins (\"offset\" INTEGER PRIMARY KEY,"
                 " origin TEXT NOT NULL) STRICT");
}

std::string insert_event_sql() {
  return "INSERT INTO events (" + std::string{event_columns}
         + ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
           " ?18, ?19)";
}

void bind_event(statement& insert, const record& r) {
  const auto& e = r.event;
  insert.bind(col_offset + 1, row_place(r.partition, r.offset))
      .bind(col_stream + 1, e.stream.value)
      .bind(col_seq + 1, static_cast<std::int64_t>(e.seq))
      .bind(col_type + 1, e.type)
      .bind(col_workspace + 1, e.workspace.value)
      .bind(col_partition + 1, std::int64_t{r.partition})
      .bind(col_partition_key + 1, e.partition_key)
      .bind(col_time + 1, to_ms(e.time))
      .bind(col_epoch + 1, static_cast<std::int64_t>(r.epoch))
      .bind(col_open + 1, std::int64_t{r.open})
      .bind(col_due_ms + 1, r.due_ms)
      .bind(col_causation_id + 1, e.causation_id)
      .bind(col_correlation_id + 1, e.correlation_id)
      .bind(col_principal + 1, e.principal)
      .bind(col_traceparent + 1, e.traceparent)
      .bind_blob(col_datahash + 1, e.datahash.view())
      .bind_blob(col_prevhash + 1, e.prevhash.view())
      .bind_blob(col_eventhash + 1, e.eventhash.view())
      .bind(col_data + 1, e.data);
}

std::shared_ptr<record> read_event(const statement& row, bool check_hashes) {
  auto out = std::make_shared<record>();
  read_event(row, check_hashes, *out);
  return out;
}

void read_event(const statement& row, bool check_hashes, record& into) {
  auto& e = into.event;
  into.damage.clear();
  into.due_ms.reset();
  row_reader in{row, into.damage};
  into.offset = row.integer(col_offset);
  in.text(col_stream, "stream", e.stream.value);
  e.seq = static_cast<std::uint64_t>(in.integer(col_seq, "seq", 1));
  in.text(col_type, "type", e.type);
  in.text(col_workspace, "workspace", e.workspace.value);
  into.partition = static_cast<std::uint32_t>(
      in.integer(col_partition, "partition", 0, std::numeric_limits<std::uint32_t>::max()));
  if (into.partition != 0 && into.offset >> 47 == std::int64_t{into.partition})
    into.offset -= row_place(into.partition, 0);
  in.text(col_partition_key, "partitionkey", e.partition_key);
  e.time = from_ms(in.integer(col_time, "time", min_time_ms, max_time_ms));
  into.epoch = static_cast<std::uint64_t>(in.integer(col_epoch, "epoch", 0));
  into.open = in.integer(col_open, "open", 0, 1) == 1;
  if (!in.is_null(col_due_ms))
    into.due_ms = in.integer(col_due_ms, "due_ms", std::numeric_limits<std::int64_t>::min());
  in.text(col_causation_id, "causationid", e.causation_id);
  in.text(col_correlation_id, "correlationid", e.correlation_id);
  in.text(col_principal, "principal", e.principal);
  in.text(col_traceparent, "traceparent", e.traceparent);
  e.datahash = in.hash(col_datahash, "datahash");
  e.prevhash = in.hash(col_prevhash, "prevhash");
  e.eventhash = in.hash(col_eventhash, "eventhash");
  in.text(col_data, "data", e.data);
  if (check_hashes && into.damage.empty() && !hashes_match(e))
    into.damage = "the event's hash does not match its contents";
}

} // namespace runledger::sqlite
