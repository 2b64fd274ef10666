#include "projections/replay/history.hpp"

#include "events/codec.hpp"

#include <algorithm>
#include <deque>
#include <list>

namespace runledger::replay {

namespace {

constexpr std::size_t stream_page_events = 512;

/// A stream that is read page by page. What is sound before a damaged event comes first.
class cursor {
public:
  cursor(const event_log& log, stream_id stream, std::uint64_t from_seq)
      : log_(log), stream_(std::move(stream)), next_seq_(std::max<std::uint64_t>(from_seq, 1)) {}

  /// The next event; nullptr at the end and at a damaged event.
  const record_ptr& peek() {
    static const record_ptr none;
    if (page_.empty() && !over_)
      load();
    return page_.empty() ? none : page_.front();
  }
  void pop() { page_.pop_front(); }
  /// Once peek() gave nothing: why, if it is not the end.
  const std::optional<read_error>& failure() const { return failure_; }

private:
  void load() {
    auto read = log_.read_stream(stream_, next_seq_, stream_page_events);
    if (!read && read.error().what == read_error::kind::corrupt && read.error().seq > next_seq_) {
      failure_ = read.error();
      read = log_.read_stream(stream_, next_seq_, failure_->seq - next_seq_);
    }
    if (!read) {
      failure_ = read.error();
      over_ = true;
      return;
    }
    over_ = failure_.has_value() || read->size() < stream_page_events;
    next_seq_ += read->size();
    page_.assign(read->begin(), read->end());
  }

  const event_log& log_;
  stream_id stream_;
  std::uint64_t next_seq_;
  std::deque<record_ptr> page_;
  bool over_ = false;
  std::optional<read_error> failure_;
};

/// The run that an event of a session accepts; nothing for other events and for unreadable ones.
std::optional<run_id> accepted_run(const record& r) {
  static const auto type = full_type(session::turn_accepted::name, 1);
  if (r.event.type != type)
    return std::nullopt;
  auto fact = decode<session::event>(r.event);
  const auto* accepted = fact ? std::get_if<session::turn_accepted>(&*fact) : nullptr;
  return accepted != nullptr ? std::optional{accepted->run} : std::nullopt;
}

/// Where the walk stands in one stream: at an event, or at a failure, which has an offset too.
std::int64_t offset_of_next(cursor& c) {
  if (const auto& next = c.peek())
    return next->offset;
  return c.failure() ? c.failure()->offset : INT64_MAX;
}

} // namespace

result<void, read_error> each_event(const event_log& log, const stream_id& stream,
                                    std::uint64_t from_seq, const event_taker& take) {
  cursor at{log, stream, from_seq};
  while (const auto next = at.peek()) {
    if (!take(next))
      return {};
    at.pop();
  }
  if (at.failure())
    return *at.failure();
  return {};
}

result<void, read_error> each_session_event(const event_log& log, const session_id& session,
                                            const event_taker& take, const damage_taker& damaged) {
  // Few streams are under way at a time: a run's is opened where it is accepted.
  std::list<cursor> open;
  open.emplace_back(log, stream_of(session), 1);
  while (!open.empty()) {
    auto first = std::ranges::min_element(open, {}, offset_of_next);
    const auto next = first->peek();
    if (!next) {
      const auto& failure = first->failure();
      if (failure && (!damaged || !damaged(*failure)))
        return *failure;
      open.erase(first);
      continue;
    }
    if (!take(next)) {
      open.erase(first);
      continue;
    }
    first->pop();
    if (next->event.stream.value == session.value)
      if (auto run = accepted_run(*next))
        open.emplace_back(log, stream_of(*run), 1);
  }
  return {};
}

result<record_ptr, read_error> acceptance_of(const event_log& log, const session_id& session,
                                             const run_id& run) {
  record_ptr out;
  auto walked = each_event(log, stream_of(session), 1, [&](const record_ptr& r) {
    if (accepted_run(*r) == run)
      out = r;
    return out == nullptr;
  });
  if (!walked)
    return walked.error();
  return out;
}

result<std::optional<session_id>, read_error> session_of_run(const event_log& log,
                                                             const run_id& run) {
  constexpr std::size_t shared_characters = 10, page_streams = 100;
  constexpr std::string_view run_prefix = "run_", session_prefix = "sess_";
  using found = std::optional<session_id>;
  auto head = log.head(stream_of(run));
  if (!head)
    return head.error();
  if (*head)
    return found{session_id{(*head)->partition_key}};
  if (!is_id(run.value, run_prefix))
    return found{};
  const auto begin =
      std::string{session_prefix} + run.value.substr(run_prefix.size(), shared_characters);
  std::optional<read_error> damage; // Of a session that may be another's.
  for (std::uint32_t p = 0; p < log.partition_count(); ++p) {
    stream_id after{begin};
    for (bool more = true; more;) {
      auto some = log.unfinished(p, after, page_streams);
      if (!some)
        return some.error();
      more = some->size() == page_streams && some->back().stream.value.starts_with(begin);
      for (const auto& each : *some) {
        if (!each.stream.value.starts_with(begin))
          break;
        const session_id session{each.stream.value};
        auto accepted = acceptance_of(log, session, run);
        if (!accepted)
          damage = accepted.error();
        else if (*accepted)
          return found{session};
      }
      if (more)
        after = some->back().stream;
    }
  }
  if (damage)
    return *damage;
  return found{};
}

} // namespace runledger::replay
