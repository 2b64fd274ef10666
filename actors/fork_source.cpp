#include "actors/fork_source.hpp"

#include "actors/entity_shell.hpp"

namespace runledger {

namespace {

constexpr std::size_t fork_page_events = 1000;

read_error corrupt(const stream_id& stream, const record* at, std::string detail) {
  return {read_error::kind::corrupt, stream, at != nullptr ? at->event.seq : 0,
          at != nullptr ? at->offset : -1, std::move(detail)};
}

/// Feeds the parent's events into `into` until the fork's place is found. The stream's first event;
/// null where there is none.
result<record_ptr, read_error> follow_parent(const event_log& log, const stream_id& stream,
                                             run::inheritance& into) {
  record_ptr first;
  for (std::uint64_t next = 1;;) {
    auto records = log.read_stream(stream, next, fork_page_events);
    if (!records)
      return records.error();
    for (const auto& r : *records) {
      auto fact = decode<run::event>(r->event);
      if (!fact)
        return corrupt(stream, r.get(), "the data cannot be read");
      if (!first)
        first = r;
      if (!into.add(r->event.seq, *fact))
        return first;
    }
    if (records->size() < fork_page_events)
      return first;
    next += fork_page_events;
  }
}

result<session::turn_accepted, read_error>
read_acceptance(const event_log& log, const session_id& session, const run_id& run) {
  auto folded = fold_stream<session_traits>(log, stream_of(session));
  if (!folded)
    return folded.error();
  const auto* turn = session::find(folded->state, run);
  if (turn == nullptr)
    return corrupt(stream_of(session), nullptr, "the session does not know its run " + run.value);
  auto records = log.read_stream(stream_of(session), turn->seq, 1);
  if (!records)
    return records.error();
  auto fact = records->empty() ? result<session::event, decode_errc>{decode_errc::damaged}
                               : decode<session::event>(records->front()->event);
  if (!fact || !std::holds_alternative<session::turn_accepted>(*fact))
    return corrupt(stream_of(session), nullptr, "the acceptance of the run cannot be read");
  return std::get<session::turn_accepted>(std::move(*fact));
}

refusal_info refusal_for(const read_error& why) {
  return refusal_of(errc::ledger_corrupt, &why);
}

} // namespace

result<fork_source, refusal_info> find_fork_source(const event_log& log,
                                                   const workspace_id& workspace,
                                                   const run_id& parent, const std::string& at) {
  const auto stream = stream_of(parent);
  if (kind_of(stream) != stream_kind::run)
    return refusal_of(errc::not_found, nullptr);
  run::inheritance inherited{parent, at};
  auto first = follow_parent(log, stream, inherited);
  if (!first)
    return refusal_for(first.error());
  if (!*first || (*first)->event.workspace != workspace)
    return refusal_of(errc::not_found, nullptr);
  if (!inherited.point())
    return refusal_of(errc::unknown_step, nullptr);
  auto accepted = read_acceptance(log, session_id{(*first)->event.partition_key}, parent);
  if (!accepted)
    return refusal_for(accepted.error());
  return fork_source{std::move(*accepted), *inherited.point()};
}

result<std::vector<run::inherited_step>, read_error>
read_inherited(const event_log& log, const run_id& parent, const session::fork_point& point) {
  run::inheritance inherited{parent, point.at};
  auto first = follow_parent(log, stream_of(parent), inherited);
  if (!first)
    return first.error();
  if (inherited.point() != point)
    return corrupt(stream_of(parent), nullptr,
                   "it does not hold the place of a fork, step `" + point.at + "`");
  return inherited.steps();
}

result<inherited_outcome, read_error> read_outcome(const event_log& log, const std::string& key,
                                                   const run::outcome_source& source) {
  const auto stream = stream_of(source.run);
  auto records = log.read_stream(stream, source.seq, 1);
  if (!records)
    return records.error();
  if (!records->empty())
    if (auto fact = decode<run::event>(records->front()->event)) {
      if (auto* done = std::get_if<run::step_completed>(&*fact);
          done != nullptr && done->key == key)
        return inherited_outcome{std::move(done->output), {}};
      if (auto* failed = std::get_if<run::step_failed>(&*fact);
          failed != nullptr && failed->key == key)
        return inherited_outcome{{}, std::move(failed->error)};
    }
  return corrupt(stream, records->empty() ? nullptr : records->front().get(),
                 "it does not hold the outcome of step `" + key + "`");
}

} // namespace runledger
