#pragma once

#include "events/log/event_log.hpp"
#include "events/log/sqlite.hpp"
#include "events/result.hpp"
#include "projections/projection.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

namespace runledger::views {

/// How a file of views is written.
enum class writing : std::uint8_t {
  live,   ///< Beside readers: write-ahead log, one transaction per batch.
  bulk,   ///< A file that nobody reads yet: large transactions, list indexes last. If the process
          ///< dies, it holds what was committed.
  scratch ///< A new file for one look, without list indexes; worthless if the process dies.
};

/// The views' file and the folds behind it (the contract: projection.hpp). One thread at a time.
class view_store {
public:
  /// Opens what is there, or makes an empty file; `scratch` makes an empty file in place of
  /// whatever is there.
  static result<std::unique_ptr<view_store>, sqlite::error> open(const std::string& path,
                                                                 writing mode);
  ~view_store();
  view_store(const view_store&) = delete;
  view_store& operator=(const view_store&) = delete;

  /// Folds the records (each partition's in the order of its offsets, from next_offset() on) and
  /// commits rows and positions together. On failure nothing has changed.
  result<void, sqlite::error> apply(std::span<const record_ptr> batch);
  /// What the last successful apply changed.
  const change_set& changes() const;

  /// The offset after the last record of this partition that was applied; 0: none yet.
  std::int64_t next_offset(std::uint32_t partition) const;

  /// Completes a bulk file: list indexes, write-ahead log from now on, everything in the one file.
  /// It may be folded into afterwards.
  result<void, sqlite::error> finish_bulk();
  /// Syncs everything into the one file, for a clean end. False: a reader was in the way.
  result<bool, sqlite::error> sync();
  /// Notes that the file goes on growing in this start of the machine; after unmark_clean().
  result<void, sqlite::error> adopt_boot();

  /// The connection, for tests that inject failures.
  sqlite::connection& database();

private:
  struct internals;
  explicit view_store(std::unique_ptr<internals> i);
  std::unique_ptr<internals> internals_;
};

/// Each table of a views' file as text, ordered by key, all values quoted: equal for equal views.
/// Without `meta`, which tells about the file.
result<std::map<std::string, std::string>, sqlite::error> dump(const std::string& path);

/// Why the file at `path` cannot be continued from; nothing: it can. It is checked against the
/// versions of this binary, the machine's boot (a file is not synced while it grows) and the
/// records that it says it has folded.
std::optional<std::string> distrust(const std::string& path, const event_log& log);

/// Marks the file as cleanly ended (it and the mark are synced), or takes the mark away before the
/// file grows.
result<void, std::string> mark_clean(const std::string& path);
result<void, std::string> unmark_clean(const std::string& path);

} // namespace runledger::views
