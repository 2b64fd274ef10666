#pragma once

#include "events/log/private_copy.hpp"
#include "events/log/sqlite.hpp"
#include "events/log/wal_file.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace runledger {

/// A SQLite file that may belong to somebody else, for reading without leaving a trace: nothing is
/// made, changed or removed in its folder, whoever may write there, whether a server runs, was
/// killed or starts meanwhile (docs/decisions/0055). Three ways, chosen by what is found:
///
/// - A server has it open, and this user may take part in its shared memory: an ordinary
///   connection, which sees every commit. It notes its place in that memory and nowhere else.
/// - The write-ahead log is empty: the file alone (SQLite's `immutable`). Should a server start and
///   write into the file while it is read, still_good() tells, and what was read counts for
///   nothing.
/// - Otherwise a private copy of both, as of now.
///
/// Threads: connect() and still_good() from any.
class sqlite_source {
public:
  enum class way : std::uint8_t { shared, file_alone, copied };

  /// Chooses the way. An error is one sentence for the operator.
  static result<std::unique_ptr<sqlite_source>, std::string> look_at(const std::string& path);

  result<sqlite::connection, sqlite::error> connect(int busy_timeout_ms) const;
  /// False: the file has been written to since, and what was read may be mixed. Look again then.
  bool still_good() const;
  way chosen() const { return way_; }

private:
  sqlite_source(std::string path, way chosen, file_pair seen)
      : path_(std::move(path)), way_(chosen), seen_(seen) {}

  const std::string path_;
  const way way_;
  const file_pair seen_;
  std::unique_ptr<private_copy> copy_;
};

} // namespace runledger
