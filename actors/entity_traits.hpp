#pragma once

#include "events/codec.hpp"
#include "events/log/event_log.hpp"
#include "events/queue.hpp"

#include <optional>

/// What the write path needs to know of an entity: its state, its facts, and how they fold.
namespace runledger {

struct run_traits {
  using state = run::state;
  using event = run::event;
  static state evolve(state s, const event& e, const envelope& at) {
    return run::evolve(std::move(s), e, at.time);
  }
  static bool fits(const state& s, const event& e) { return run::fits(s, e); }
  static bool open(const state& s) { return run::open(s); }
  static std::optional<std::int64_t> due_ms(const state& s) { return run::due_ms(s); }
};

struct session_traits {
  using state = session::state;
  using event = session::event;
  static state evolve(state s, const event& e, const envelope& at) {
    return session::evolve(std::move(s), e, at.time, at.seq, at.workspace);
  }
  static bool fits(const state& s, const event& e) { return session::fits(s, e); }
  static bool open(const state& s) { return session::open(s); }
  static std::optional<std::int64_t> due_ms(const state&) { return std::nullopt; }
};

/// Entities without unfinished work.
template <class State, class Event>
struct passive_traits {
  using state = State;
  using event = Event;
  static bool open(const state&) { return false; }
  static std::optional<std::int64_t> due_ms(const state&) { return std::nullopt; }
};

struct agent_traits : passive_traits<agent::state, agent::event> {
  static state evolve(state s, const event& e, const envelope& at) {
    return agent::evolve(std::move(s), e, at.time, at.workspace);
  }
  static bool fits(const state& s, const event& e) { return agent::fits(s, e); }
};

struct key_traits : passive_traits<key::state, key::event> {
  static state evolve(state s, const event& e, const envelope& at) {
    return key::evolve(std::move(s), e, at.time, at.workspace);
  }
  static bool fits(const state& s, const event& e) { return key::fits(s, e); }
};

struct workspace_traits : passive_traits<workspace::state, workspace::event> {
  static state evolve(state s, const event& e, const envelope& at) {
    return workspace::evolve(std::move(s), e, at.time);
  }
  static bool fits(const state& s, const event& e) { return workspace::fits(s, e); }
};

struct names_traits : passive_traits<names::state, names::event> {
  static state evolve(state s, const event& e, const envelope&) {
    return names::evolve(std::move(s), e);
  }
  static bool fits(const state& s, const event& e) { return names::fits(s, e); }
};

struct audit_traits : passive_traits<audit::state, audit::event> {
  static constexpr bool goes_on_from_head = true; ///< Its state is always the same.
  static state evolve(state s, const event& e, const envelope&) {
    return audit::evolve(std::move(s), e);
  }
  static bool fits(const state& s, const event& e) { return audit::fits(s, e); }
};

struct worker_traits : passive_traits<worker::state, worker::event> {
  static state evolve(state s, const event& e, const envelope& at) {
    return worker::evolve(std::move(s), e, at.time);
  }
  static bool fits(const state& s, const event& e) { return worker::fits(s, e); }
};

struct queue_traits {
  using state = queue::state;
  using event = queue::event;
  static state evolve(state s, const event& e, const envelope&) {
    return queue::evolve(std::move(s), e);
  }
  static bool fits(const state& s, const event& e) { return queue::fits(s, e); }
  static bool open(const state& s) { return queue::open(s); }
  static std::optional<std::int64_t> due_ms(const state&) { return std::nullopt; }
};

/// A stream folded to its end: the state, and the head behind which the next event goes.
template <class Traits>
struct folded {
  typename Traits::state state;
  stream_head head;
  record_ptr first; ///< Its first event; null for an empty stream.
};

/// The end of a stream whose state does not depend on its events.
template <class Traits>
result<folded<Traits>, read_error> end_of_stream(const event_log& log, const stream_id& stream) {
  auto head = log.head(stream);
  if (!head)
    return head.error();
  folded<Traits> out;
  if (*head)
    out.head = std::move(**head);
  return out;
}

/// Goes on with the fold of a stream. A stored fact that cannot be read or does not fit is damage
/// with a place.
template <class Traits>
result<void, read_error> fold_on(const event_log& log, const stream_id& stream,
                                 folded<Traits>& out) {
  constexpr std::size_t page = 1000;
  for (;;) {
    auto records = log.read_stream(stream, out.head.seq + 1, page);
    if (!records)
      return records.error();
    if (!out.first && !records->empty())
      out.first = records->front();
    for (const auto& r : *records) {
      auto fact = decode<typename Traits::event>(r->event);
      if (!fact || !Traits::fits(out.state, *fact))
        return read_error{read_error::kind::corrupt, stream, r->event.seq, r->offset,
                          fact ? "the event does not fit the state before it"
                               : "the data cannot be read"};
      out.state = Traits::evolve(std::move(out.state), *fact, r->event);
      out.head.seq = r->event.seq;
      out.head.hash = r->event.eventhash;
      out.head.partition_key = r->event.partition_key;
      out.head.time = r->event.time;
    }
    if (records->size() < page)
      return {};
  }
}

/// Folds a stream from the ledger.
template <class Traits>
result<folded<Traits>, read_error> fold_stream(const event_log& log, const stream_id& stream) {
  if constexpr (requires { Traits::goes_on_from_head; })
    return end_of_stream<Traits>(log, stream);
  folded<Traits> out;
  if (auto folds = fold_on(log, stream, out); !folds)
    return folds.error();
  return out;
}

} // namespace runledger
