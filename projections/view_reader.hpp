#pragma once

#include "events/log/event_log.hpp"
#include "events/result.hpp"
#include "projections/replaced_file.hpp"
#include "projections/rows.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::views {

/// Why a question has no answer. `corrupt`: a damaged event parked the entity, or was met on the
/// way (500 `ledger_corrupt`, with its place); `unavailable`: the views' file or the ledger cannot
/// be read now.
template <class T>
using answer = result<T, read_error>;

/// A connection to the views for questions (queries/), with its statements prepared once and kept.
/// One thread at a time; each thread that asks has its own. What it sees is what the runner
/// committed last. The ledger and the blobs behind it are asked for what the views do not copy;
/// they must outlive it.
class view_reader {
public:
  /// `path`: the file of a view_store that is open or was closed. Opens it read-only.
  /// `replaced`: where the file may be replaced by another (view_runner::replaced), which the next
  /// question then opens; it must outlive the reader.
  static answer<std::unique_ptr<view_reader>> open(const std::string& path, const event_log& log,
                                                   const blob_store* blobs,
                                                   replaced_file* replaced = nullptr);
  ~view_reader();
  view_reader(const view_reader&) = delete;
  view_reader& operator=(const view_reader&) = delete;

  struct internals; ///< For queries/ alone.
  internals& inside() { return *internals_; }

private:
  explicit view_reader(std::unique_ptr<internals> i);
  std::unique_ptr<internals> internals_;
};

/// A place in a list, newest first; opaque to callers.
struct list_cursor {
  std::int64_t created_ms = 0;
  std::int64_t at = 0; ///< The tie-break: the place in the ledger.
};
std::string to_text(const list_cursor& c);
/// Nothing for a text that to_text() did not write.
std::optional<list_cursor> parse_cursor(std::string_view text);

/// Part of a list. Cursors stay valid while new items arrive: what follows one never changes its
/// place.
template <class T>
struct page {
  std::vector<T> items;
  std::string next; ///< Cursor of what follows; empty: that was all.
};

} // namespace runledger::views
