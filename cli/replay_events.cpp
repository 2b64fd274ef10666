#include "cli/replay_events.hpp"

namespace runledger::cli {

result<void, read_error> each_event_of(const offline_ledger& ledger, const stream_id& stream,
                                       const replay::event_taker& take) {
  if (kind_of(stream) == stream_kind::session)
    return replay::each_session_event(ledger.log(), session_id{stream.value}, take);
  if (kind_of(stream) == stream_kind::run) {
    const run_id run{stream.value};
    const auto session = replay::session_of_run(ledger.log(), run);
    if (!session)
      return session.error();
    if (*session) {
      const auto accepted = replay::acceptance_of(ledger.log(), **session, run);
      if (accepted && *accepted)
        take(*accepted);
    }
  }
  return replay::each_event(ledger.log(), stream, 1, take);
}

} // namespace runledger::cli
