#include "projections/queries/session_at.hpp"

#include "projections/queries/session_by_id.hpp"
#include "projections/reader_internals.hpp"

namespace runledger::views {

namespace {

record_ptr event_at(const view_reader::internals& in, const stream_id& stream, std::uint64_t seq) {
  auto records = in.log.read_stream(stream, seq, 1);
  if (!records)
    throw records.error();
  return records->empty() ? nullptr : records->front();
}

session::event fact_of(const record& r) {
  auto fact = decode<session::event>(r.event);
  if (!fact)
    throw read_error{read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset,
                     "the data cannot be read"};
  return std::move(*fact);
}

/// A cancellation that found nothing to wait for ended the session with the same command.
record_ptr end_of_same_command(const view_reader::internals& in, const record& accepting) {
  auto next = event_at(in, accepting.event.stream, accepting.event.seq + 1);
  bool ends = next && next->event.causation_id == accepting.event.causation_id
              && std::holds_alternative<session::terminated>(fact_of(*next));
  return ends ? next : nullptr;
}

/// Takes back what the session's own later events brought.
void rewind(session_row& row, const view_reader::internals& in, const record& accepting) {
  row.phase = session::phase::active;
  row.reason.clear();
  row.last_activity_at = accepting.event.time;
  row.terminated_at.reset();
  auto fact = fact_of(accepting);
  const auto* cancelled = std::get_if<session::cancel_requested>(&fact);
  if (cancelled == nullptr)
    return;
  row.phase = session::phase::cancelling;
  row.reason = cancelled->reason;
  if (auto end = end_of_same_command(in, accepting)) {
    row.phase = session::phase::terminated;
    row.last_activity_at = end->event.time;
    row.terminated_at = end->event.time;
  }
}

/// Takes back what the run's later events brought; true if nothing was: it had ended.
bool rewind(session_run& run, const view_reader::internals& in, std::int64_t offset) {
  const auto stream = stream_of(run.id);
  const auto first = event_at(in, stream, 1);
  const bool ended = run.finished_at.has_value();
  if (!first || first->offset > offset) {
    run.phase = run::phase::absent;
  } else if (ended) {
    auto head = in.log.head(stream);
    if (!head)
      throw head.error();
    if (event_at(in, stream, head->value().seq)->offset <= offset)
      return true;
    run.phase = run::phase::running;
  }
  run.finished_at.reset();
  return false;
}

} // namespace

answer<std::optional<session_view>> session_at(view_reader& reader, const workspace_id& workspace,
                                               const record& accepting) {
  auto found = session_by_id(reader, workspace, accepting.event.stream.value);
  if (!found || !*found)
    return found;
  return ask<std::optional<session_view>>(reader, [&](auto& in) -> std::optional<session_view> {
    auto out = std::move(**found);
    auto& q = in.use("SELECT count(*) FROM runs WHERE session = ? AND at <= ?");
    std::int64_t accepted = 0;
    {
      finished end{q};
      if (q.with(out.session.at, place_at(accepting.partition, accepting.offset)).row())
        q.values().all(accepted);
    }
    out.runs.resize(std::min(out.runs.size(), static_cast<std::size_t>(accepted)));
    rewind(out.session, in, accepting);
    // Turns run one after the other: what came before one that had ended had ended too.
    for (auto run = out.runs.rbegin(); run != out.runs.rend(); ++run)
      if (rewind(*run, in, accepting.offset))
        break;
    return out;
  });
}

} // namespace runledger::views
