#pragma once

#include "events/envelope.hpp"
#include "events/log/sqlite.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

/// How events stand in a SQLite file: the schema, and records to rows and back. Shared by the
/// ledger, replicas and offline tools.
namespace runledger::sqlite {

/// Raised with each change of the schema; stands in the file's user_version and in `meta`.
constexpr std::int64_t ledger_schema_version = 1;
/// The file's application_id: "RnLg".
constexpr std::int64_t ledger_application_id = 0x526e4c67;

/// Makes an empty file a ledger, or checks that it is one that this program can read. An error is
/// one sentence for the operator. `writable`: may create.
result<void, std::string> prepare_ledger_file(connection& db, const std::string& path,
                                              bool writable);

/// Whether the file has the table `origins`: those of earlier versions do not, and hold no copied
/// events.
result<bool, error> has_origins(connection& db);
/// Adds it where it is missing.
result<void, error> ensure_origins(connection& db);

/// The value of the column `offset`: the offset itself in partition 0, and so in every ledger of
/// one partition; in a replica of more the partition's flat number stands above 47 bits of offset.
constexpr std::int64_t row_place(std::uint32_t partition, std::int64_t offset) {
  return static_cast<std::int64_t>(partition) << 47 | offset;
}

/// The columns of `events` in the order that bind_event and read_event use.
inline constexpr std::string_view event_columns =
    "\"offset\", stream, seq, type, workspace, \"partition\", partitionkey, time, epoch, \"open\","
    " due_ms, causationid, correlationid, principal, traceparent, datahash, prevhash, eventhash,"
    " data";
inline constexpr int event_column_count = 19;
/// `INSERT INTO events ...` with one parameter per column.
std::string insert_event_sql();

/// Binds a record to insert_event_sql(), without copies: the record must live until the reset.
void bind_event(statement& insert, const record& r);

/// The current row of a `SELECT event_columns`. A value that cannot be what it should be sets
/// `damage`, which names the column; with `check_hashes` so do contents that do not match the
/// hashes. Never fails.
std::shared_ptr<record> read_event(const statement& row, bool check_hashes);
/// The same into a record that held another row: its memory is used again.
void read_event(const statement& row, bool check_hashes, record& into);

} // namespace runledger::sqlite
