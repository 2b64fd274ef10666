#include "projections/replay/as_of.hpp"

#include "events/codec.hpp"
#include "projections/replay/history.hpp"
#include "projections/worker_row.hpp"

#include <unordered_map>

namespace runledger::replay {

namespace {

read_error corrupt(const record& r, std::string why) {
  return {read_error::kind::corrupt, r.event.stream, r.event.seq, r.offset, std::move(why)};
}

/// Whether a fold may go on with this event, as the views judge it (session_views.cpp).
enum class reading : std::uint8_t { taken, skipped, refused };

/// Folds an event into `state` with `evolve(state, fact)`; `why` tells of a refusal.
template <class Event, class State, class Evolve>
reading fold_into(State& state, const record& r, read_error& why, Evolve&& evolve) {
  if (!r.damage.empty()) {
    why = corrupt(r, r.damage);
    return reading::refused;
  }
  auto fact = decode<Event>(r.event);
  if (!fact && fact.error() == decode_errc::unknown_type)
    return reading::skipped;
  if (!fact) {
    why = corrupt(r, "the data of a " + r.event.type + " cannot be read");
    return reading::refused;
  }
  if (!fits(state, *fact)) {
    why = corrupt(r, "a " + r.event.type + " does not fit what came before");
    return reading::refused;
  }
  state = evolve(std::move(state), *fact);
  return reading::taken;
}

/// Loads contents for a row and remembers the first that is not there.
class content_loader {
public:
  explicit content_loader(const blob_store* blobs) : blobs_(blobs) {}

  std::optional<std::string> operator()(const blob_ref& ref) {
    if (blobs_ == nullptr) {
      left_out_ = true;
      return std::nullopt;
    }
    auto text = blobs_->get(ref.id);
    if (text)
      return std::move(*text);
    if (!failure_ && text.error() == blob_errc::unavailable)
      failure_ = {read_error::kind::unavailable, {}, 0, -1, "the blob store cannot be read"};
    else if (!failure_)
      failure_ = {read_error::kind::corrupt,
                  {},
                  0,
                  -1,
                  "the blob " + to_hex(ref.id) + " is missing or damaged"};
    return std::nullopt;
  }
  bool left_out() const { return left_out_; }
  /// The failure with the place of the event that names the content.
  std::optional<read_error> failure(const record& named_by) const {
    auto out = failure_;
    if (out && out->what == read_error::kind::corrupt) {
      out->stream = named_by.event.stream;
      out->seq = named_by.event.seq;
      out->offset = named_by.offset;
    }
    return out;
  }

private:
  const blob_store* blobs_;
  std::optional<read_error> failure_;
  bool left_out_ = false;
};

/// A session's fold, and what it shows of its runs.
struct folded_session {
  session::state state;
  record_ptr last; ///< Of the session's own events and its runs'.
  struct shown_run {
    run::state state;
    bool parked = false; ///< A damaged event: it stays as it was, as in the views.
  };
  std::unordered_map<std::string, shown_run> runs;
  std::optional<read_error> damage;
};

void take_run_event(folded_session& s, const record& r) {
  auto& run = s.runs[r.event.stream.value];
  if (run.parked)
    return;
  read_error why{};
  auto evolve = [&](run::state state, const run::event& fact) {
    return run::evolve(std::move(state), fact, r.event.time);
  };
  if (fold_into<run::event>(run.state, r, why, evolve) == reading::refused) {
    run.parked = true;
  } else if (run::terminal(run.state.at)) { // Steps and contents are not shown.
    run::state ended;
    ended.at = run.state.at;
    ended.finished_at = run.state.finished_at;
    run.state = std::move(ended);
  }
}

void take_session_event(folded_session& s, const record& r) {
  read_error why{};
  auto done = fold_into<session::event>(
      s.state, r, why, [&](session::state state, const session::event& fact) {
        return session::evolve(std::move(state), fact, r.event.time, r.event.seq,
                               r.event.workspace);
      });
  if (done == reading::refused)
    s.damage = why;
  else if (done == reading::skipped && r.event.seq == 1)
    s.damage = corrupt(r, "an event of the unknown type " + r.event.type);
}

views::session_view view_of(const session_id& id, const folded_session& s) {
  views::session_view out;
  auto& row = out.session;
  row.id = id;
  row.workspace = s.state.workspace;
  row.agent = s.state.agent;
  row.agent_slug = s.state.agent_slug;
  row.agent_version = s.state.agent_version;
  row.phase = s.state.at;
  row.reason = s.state.reason;
  row.created_at = s.state.created_at.value_or(timestamp{});
  row.last_activity_at = s.state.last_activity_at.value_or(timestamp{});
  row.terminated_at = s.state.terminated_at;
  for (const auto& turn : s.state.turns) {
    auto& shown = out.runs.emplace_back();
    shown.id = turn.run;
    shown.created_at = turn.accepted_at;
    if (auto known = s.runs.find(turn.run.value); known != s.runs.end()) {
      shown.phase = known->second.state.at;
      shown.finished_at = known->second.state.finished_at;
    }
  }
  return out;
}

} // namespace

result<folded_run, read_error> fold_run(const event_log& log, const run_id& run,
                                        const reach& within) {
  folded_run out;
  auto walked = each_event(log, stream_of(run), 1, [&](const record_ptr& r) {
    if (!within.holds(*r))
      return false;
    read_error why{};
    auto done =
        fold_into<run::event>(out.state, *r, why, [&](run::state state, const run::event& fact) {
          return run::evolve(std::move(state), fact, r->event.time);
        });
    if (done == reading::refused)
      out.damage = why;
    else
      out.last = r;
    return !out.damage.has_value();
  });
  if (!walked && walked.error().what == read_error::kind::unavailable)
    return walked.error();
  if (!walked && !within.ends_before(walked.error().offset))
    out.damage = walked.error();
  return out;
}

answer<views::run_row> run_as_of(const sources& from, const run_id& run, const point& when) {
  using absent = std::optional<as_of<views::run_row>>;
  auto session = session_of_run(from.log, run);
  if (!session)
    return session.error();
  if (!*session)
    return absent{};
  auto accepted = acceptance_of(from.log, **session, run);
  if (!accepted)
    return accepted.error();
  auto within = reach::of(when, from.log, stream_of(run));
  if (!within)
    return within.error();
  if (!*accepted || !within->holds(**accepted))
    return absent{};
  auto folded = fold_run(from.log, run, *within);
  if (!folded)
    return folded.error();
  if (folded->damage)
    return *folded->damage;
  auto fact = decode<session::event>((*accepted)->event);
  const auto& event = (*accepted)->event;
  content_loader load{from.blobs};
  auto row = views::run_row_from(run, folded->state, **session, event.workspace,
                                 std::get<session::turn_accepted>(*fact), event.time,
                                 [&](const blob_ref& ref) { return load(ref); });
  const auto& last = folded->last ? folded->last : *accepted;
  bool of_result = run::terminal(row.phase) && folded->state.result.blob && row.result.empty();
  if (auto failed = load.failure(of_result ? *last : **accepted))
    return *failed;
  return absent{as_of<views::run_row>{std::move(row), last, load.left_out()}};
}

answer<views::session_view> session_as_of(const sources& from, const session_id& session,
                                          const point& when) {
  using absent = std::optional<as_of<views::session_view>>;
  auto within = reach::of(when, from.log, stream_of(session));
  if (!within)
    return within.error();
  folded_session s;
  auto take = [&](const record_ptr& r) {
    if (!within->holds(*r))
      return false;
    if (r->event.stream.value == session.value)
      take_session_event(s, *r);
    else
      take_run_event(s, *r);
    if (!s.damage)
      s.last = r;
    return !s.damage.has_value();
  };
  auto damaged = [&](const read_error& e) {
    if (e.what == read_error::kind::unavailable)
      return false;
    if (within->ends_before(e.offset))
      return true;
    if (e.stream.value == session.value)
      s.damage = e;
    else
      s.runs[e.stream.value].parked = true;
    return true;
  };
  auto walked = each_session_event(from.log, session, take, damaged);
  if (!walked)
    return walked.error();
  if (s.damage)
    return *s.damage;
  if (s.state.at == session::phase::absent)
    return absent{};
  return absent{as_of<views::session_view>{view_of(session, s), s.last, false}};
}

answer<views::worker_row> worker_as_of(const sources& from, const worker_id& worker,
                                       const point& when) {
  using absent = std::optional<as_of<views::worker_row>>;
  auto within = reach::of(when, from.log, stream_of(worker));
  if (!within)
    return within.error();
  worker::state state;
  record_ptr last;
  std::optional<read_error> damage;
  auto walked = each_event(from.log, stream_of(worker), 1, [&](const record_ptr& r) {
    if (!within->holds(*r))
      return false;
    read_error why{};
    auto done = fold_into<worker::event>(
        state, *r, why, [&](worker::state before, const worker::event& fact) {
          return worker::evolve(std::move(before), fact, r->event.time);
        });
    if (done == reading::refused)
      damage = why;
    else if (done == reading::skipped)
      damage = corrupt(*r, "an event of the unknown type " + r->event.type);
    else
      last = r;
    return !damage.has_value();
  });
  if (!walked && !within->ends_before(walked.error().offset))
    return walked.error();
  if (damage)
    return *damage;
  if (!state.exists)
    return absent{};
  return absent{as_of<views::worker_row>{views::worker_row_from(worker, state), last, false}};
}

} // namespace runledger::replay
