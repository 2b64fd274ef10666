#pragma once

#include "events/log/sqlite.hpp"
#include "projections/rebuild.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::views {

/// The first place where two files of views are not the same. Values as SQL writes them.
struct difference {
  std::string table;
  std::string key;     ///< `at=7`; several columns with commas; empty: the table itself.
  std::string column;  ///< Empty: the row is in one of them alone.
  std::string live;    ///< `(no such row)` and the like where it is not there.
  std::string rebuilt; ///< Likewise.
};

/// One sentence.
std::string to_text(const difference& d);

struct comparison {
  std::uint64_t rows = 0;          ///< Compared.
  std::optional<difference> first; ///< Nothing: they are the same, to the byte.
};

/// Compares these tables row by row, both in the order of their primary key, without holding more
/// than a row of each. Types, integers, texts and blobs are compared byte for byte. With a `view`,
/// of the table `parked` its rows alone.
result<comparison, sqlite::error> compare(sqlite::connection& live, sqlite::connection& rebuilt,
                                          const std::vector<std::string>& tables,
                                          std::string_view view = {});

struct check_options {
  /// One view, with what is parked for it; empty: all of them, with positions and all that is
  /// parked.
  std::string view;
  std::string scratch; ///< The file to fold into; it has no name any more once it is open.
  fold_watch watch;
};

struct check_report {
  std::uint64_t events = 0;           ///< Folded for it.
  std::int64_t position = 0, lag = 0; ///< Of the live file, and what it lacks to the ledger's end.
  comparison found;
};

/// Folds the ledger anew up to where the views at `path` are, and compares; then the declarations
/// of all tables and indexes, and SQLite's own check of the file (`(integrity_check)` as table).
/// Nothing is written to the live file, whoever uses it, and nothing is left behind however the
/// process ends. An error is one sentence: nothing could be compared.
result<check_report, std::string> check(const std::string& path, const event_log& log,
                                        const check_options& options);

} // namespace runledger::views
