#include "events/log/kafka/append_book.hpp"

#include <cstring>

namespace runledger::kafka {

namespace {

append_result rejected(verdict why, const envelope& e) {
  return {append_outcome::rejected, why, e.id() + ": " + std::string{to_string(why)}};
}

} // namespace

std::size_t append_book::key_hash::operator()(const key& k) const {
  std::size_t out = 0;
  std::memcpy(&out, k.hash.bytes.data(), sizeof out);
  return out ^ k.epoch;
}

/// The head that a request's first event should follow; nothing: its stream is not known here, or
/// has none.
std::optional<stream_head> append_book::expected_head(const envelope& first) const {
  if (auto at = expected_.find(first.stream); at != expected_.end())
    return at->second.head;
  return known_.known_head(first.stream);
}

std::optional<verdict> append_book::judge_repeat(record& r, judged& into) const {
  for (const auto& mine : into.to_write) // Twice in one request.
    if (mine->event.eventhash == r.event.eventhash)
      return verdict::duplicate;
  if (auto same = by_key_.find({r.event.eventhash, r.epoch}); same != by_key_.end()) {
    into.to_await.push_back(same->second);
    return verdict::duplicate;
  }
  auto stored = known_.read_stream(r.event.stream, r.event.seq, 1);
  if (!stored || stored->empty())
    return std::nullopt;
  const auto& there = *stored->front();
  if (there.event.eventhash != r.event.eventhash)
    return verdict::stale_seq;
  if (there.epoch != r.epoch)
    return verdict::wrong_epoch; // Another writer made the same event.
  r.offset = there.offset;
  return verdict::duplicate;
}

append_book::judged append_book::judge_request(append_request& request) const {
  judged out;
  if (request.events.empty())
    return out;
  const auto& first = request.events.front()->event;
  const auto home = partition_of(first.stream, first.partition_key, known_.names());
  if (!home) {
    out.result = rejected(verdict::wrong_partition, first);
    return out;
  }
  auto state = known_.fold_state(*home);
  auto head = expected_head(first);
  const bool known = head.has_value();
  if (!known && first.seq > 1) // Then this event says itself what it follows; the fold decides.
    head = stream_head{first.seq - 1, first.prevhash, first.partition_key, {}};
  for (const auto& r : request.events) {
    r->partition = *home;
    auto v = verdict::wrong_partition;
    if (r->event.stream == first.stream && known && head && r->event.seq <= head->seq) {
      const auto repeat = judge_repeat(*r, out);
      if (!repeat)
        out.to_write.push_back(r);
      v = repeat.value_or(verdict::duplicate);
    } else if (r->event.stream == first.stream) {
      v = judge_own(state, head ? &*head : nullptr, *r);
      if (v == verdict::accepted) {
        if (!head)
          head.emplace();
        advance(state, *head, *r);
        out.moves = true;
        out.to_write.push_back(r);
      }
    }
    if (v != verdict::accepted && v != verdict::duplicate) {
      out.result = rejected(v, r->event);
      return out;
    }
  }
  if (out.moves)
    out.head = *head;
  return out;
}

/// From now on the request waits for these events.
void append_book::depart(judged& what, const request_ptr& request, std::uint64_t request_id,
                         clock::time_point now, std::vector<outgoing>& out) {
  for (const auto id : what.to_await) {
    flights_.at(id).waiting.push_back(request);
    ++request->waits;
  }
  bool first = true;
  for (auto& event : what.to_write) {
    const auto id = next_id_++;
    by_key_[{event->event.eventhash, event->epoch}] = id;
    flights_.emplace(id, flight{event, first, now + timeout_, {request}});
    ++request->waits;
    out.push_back({id, request_id, event});
    first = false;
  }
  if (what.moves)
    expected_[what.to_write.back()->event.stream] = {what.head, next_id_ - 1};
}

std::vector<append_book::outgoing> append_book::take(std::vector<append_request> group,
                                                     event_log::completion done,
                                                     clock::time_point now, finished& out) {
  std::vector<outgoing> to_send;
  auto state = std::make_shared<group_state>();
  state->done = std::move(done);
  state->results.resize(group.size());
  state->open = group.size();
  if (group.empty()) {
    out.push_back({std::move(state->done), {}});
    return to_send;
  }
  std::lock_guard guard{mutex_};
  for (std::size_t i = 0; i < group.size(); ++i) {
    auto request = std::make_shared<request_state>(request_state{state, i, 0, false});
    if (flights_.size() >= most_) {
      settle(
          request,
          {append_outcome::unavailable, verdict::accepted, "too many events wait to be read back"},
          out);
      continue;
    }
    auto what = judge_request(group[i]);
    if (what.result.outcome == append_outcome::accepted)
      depart(what, request, next_request_++, now, to_send);
    if (request->waits == 0)
      settle(request, std::move(what.result), out);
  }
  return to_send;
}

void append_book::settle(const request_ptr& request, append_result result, finished& out) {
  if (request->settled)
    return;
  request->settled = true;
  if (result.outcome == append_outcome::unknown)
    ++unknown_;
  auto& group = *request->group;
  group.results[request->index] = std::move(result);
  if (--group.open == 0)
    out.push_back({std::move(group.done), std::move(group.results)});
}

append_book::flight append_book::land(flights::iterator at, bool accepted) {
  auto out = std::move(at->second);
  const auto& e = out.event->event;
  by_key_.erase({e.eventhash, out.event->epoch});
  if (auto expected = expected_.find(e.stream);
      expected != expected_.end() && (!accepted || expected->second.newest == at->first))
    expected_.erase(expected);
  flights_.erase(at);
  return out;
}

bool append_book::waits_for(const record& r) const {
  std::lock_guard guard{mutex_};
  return by_key_.contains({r.event.eventhash, r.epoch});
}

void append_book::read_back(const record& r, verdict v, finished& out) {
  std::lock_guard guard{mutex_};
  const auto found = by_key_.find({r.event.eventhash, r.epoch});
  if (found == by_key_.end())
    return;
  const bool good = v == verdict::accepted || v == verdict::duplicate;
  auto landed = land(flights_.find(found->second), good);
  landed.event->offset = r.offset;
  for (const auto& request : landed.waiting) {
    if (!good)
      settle(request, rejected(v, r.event), out);
    else if (--request->waits == 0)
      settle(request, {append_outcome::accepted, verdict::accepted, {}}, out);
  }
}

void append_book::not_written(std::uint64_t id, bool perhaps, const std::string& why,
                              finished& out) {
  std::lock_guard guard{mutex_};
  const auto at = flights_.find(id);
  if (at == flights_.end())
    return;
  if (perhaps)
    return; // It may still be read back; if not, it is given up in time.
  const auto landed = land(at, false);
  for (const auto& request : landed.waiting)
    settle(request,
           {landed.first ? append_outcome::unavailable : append_outcome::unknown, verdict::accepted,
            why},
           out);
}

void append_book::expire(clock::time_point now, finished& out) {
  std::lock_guard guard{mutex_};
  while (!flights_.empty() && flights_.begin()->second.deadline <= now) {
    const auto landed = land(flights_.begin(), false);
    for (const auto& request : landed.waiting)
      settle(request,
             {append_outcome::unknown, verdict::accepted,
              landed.event->event.id() + " was not read back in time"},
             out);
  }
}

void append_book::end_all(const std::string& why, finished& out) {
  std::lock_guard guard{mutex_};
  while (!flights_.empty()) {
    const auto landed = land(flights_.begin(), false);
    for (const auto& request : landed.waiting)
      settle(request, {append_outcome::unknown, verdict::accepted, why}, out);
  }
}

std::size_t append_book::in_flight() const {
  std::lock_guard guard{mutex_};
  return flights_.size();
}

std::uint64_t append_book::unknown() const {
  std::lock_guard guard{mutex_};
  return unknown_;
}

} // namespace runledger::kafka
