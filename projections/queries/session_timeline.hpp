#pragma once

#include "projections/view_reader.hpp"

namespace runledger::views {

/// One item, rendered.
struct timeline_entry {
  std::uint64_t seq = 0;
  std::string type; ///< The item's: `event:` in a stream.
  std::string json;
  bool ends_run = false;     ///< A terminal run_status.
  bool ends_session = false; ///< session_terminated.
};

struct timeline_page {
  std::vector<timeline_entry> items; ///< Oldest first.
  std::uint64_t scanned = 0; ///< Every item up to this seq was looked at: where to go on (items
                             ///< that a filter left out included).
  bool at_end = false;       ///< There is nothing behind `scanned` now.
};

/// Items of a session after `since`, at most `limit`; less where they are large (a page ends with
/// the item that fills 1 MiB). Nothing: no such session in this workspace. Read from the ledger by
/// position; a damaged event shows as `unreadable`.
answer<std::optional<timeline_page>> session_timeline(view_reader& reader,
                                                      const workspace_id& workspace,
                                                      std::string_view session, std::uint64_t since,
                                                      std::size_t limit);

/// The signal-level items of one run, with the session's seq: all but `user_message`,
/// `assistant_message`, `checkpoint`, and `log` below `info`. at_end also behind the run's terminal
/// item.
answer<std::optional<timeline_page>> run_log_events(view_reader& reader,
                                                    const workspace_id& workspace,
                                                    std::string_view run, std::uint64_t since,
                                                    std::size_t limit);

/// All items of one run (for the raw log), with the session's seq.
answer<std::optional<timeline_page>> run_timeline(view_reader& reader,
                                                  const workspace_id& workspace,
                                                  std::string_view run, std::uint64_t since,
                                                  std::size_t limit);

} // namespace runledger::views
