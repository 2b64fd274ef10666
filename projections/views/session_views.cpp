#include "projections/views/session_views.hpp"

#include "projections/saturating.hpp"
#include "projections/timeline_chunk.hpp"

#include <algorithm>

namespace runledger::views {

namespace {

/// Entries kept between commits; beyond it all are dropped and read again when needed.
constexpr std::size_t cached_entries = 32'768;

std::string cannot_be_read(const record& r) {
  return r.damage.empty() ? "the data of a " + r.event.type + " cannot be read" : r.damage;
}

/// What an item means, by its type; `quiet`: a log below the level `info`.
std::uint8_t flags_of(const event_type& type, bool quiet) {
  auto item = type.timeline_item;
  bool talk = item == "user_message" || item == "assistant_message" || item == "checkpoint";
  std::uint8_t flags = talk || quiet ? 0 : chunk_item::signal;
  if (type.name == run::succeeded::name || type.name == run::failed::name
      || type.name == run::cancelled::name)
    flags |= chunk_item::ends_run;
  if (type.name == session::terminated::name)
    flags |= chunk_item::ends_session;
  return flags;
}

} // namespace

struct session_views::session_entry {
  session_row row;
  std::uint64_t last_seq = 0;   ///< Of the timeline.
  std::int64_t last_offset = 0; ///< Of its last item in the chunk that is being filled.
  std::string tail;             ///< That chunk.
  bool tail_stored = false;     ///< It has a row already.
  bool tail_changed = false;
  struct full_chunk {
    std::uint64_t chunk;
    std::string items;
    bool stored; ///< It has a row from an earlier commit.
  };
  std::vector<full_chunk> full; ///< Chunks that were filled since the last commit.
  bool timeline_parked = false;
  bool stored = false, changed = false, listed = false;
  std::size_t runs = 0; ///< Entries that point here.
};

struct session_views::run_entry {
  stored_run row;
  session_entry* session = nullptr;
  bool stored = false, changed = false, phase_changed = false, listed = false;
};

session_views::session_views(sqlite::connection& db, parking& parked)
    : parked_(parked),
      select_session_(db, RUNLEDGER_SESSION_SELECT "WHERE s.id = ? ORDER BY s.at LIMIT 1"),
      select_session_at_(db, RUNLEDGER_SESSION_SELECT "WHERE s.at = ?"),
      select_tail_(db, "SELECT chunk, items FROM timeline WHERE session = ? "
                       "ORDER BY chunk DESC LIMIT 1"),
      select_run_(db, RUNLEDGER_RUN_SELECT "WHERE r.id = ? ORDER BY r.at LIMIT 1"),
      insert_session_(db, "INSERT INTO sessions(at, id, workspace, agent_id, agent_slug, "
                          "agent_version, phase, reason, created_ms, last_activity_ms, "
                          "terminated_ms, parked) VALUES(?,?,?,?,?,?,?,?,?,?,?,?)"),
      update_session_(db, "UPDATE sessions SET phase = ?, reason = ?, last_activity_ms = ?, "
                          "terminated_ms = ?, parked = ? WHERE at = ?"),
      insert_chunk_(db, "INSERT INTO timeline(session, chunk, items) VALUES(?,?,?)"),
      update_chunk_(db, "UPDATE timeline SET items = ? WHERE session = ? AND chunk = ?"),
      insert_run_(db,
                  "INSERT INTO runs(at, id, session, turn, workspace, agent_id, created_ms, "
                  "kind, trigger, accepted_seq, first_seq, parent_run, prompt, initial_state, "
                  "phase, started_ms, finished_ms, cost_micro_usd, tokens_in, tokens_out, "
                  "attempt, steps_completed, artifact_count, last_seq, cause_seq, due_ms, "
                  "timeout_due_ms, cancelling, turn_ended, parked, long_content, result, "
                  "result_at, error_code, error_message) "
                  "VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)"),
      update_run_(db, "UPDATE runs SET cost_micro_usd = ?, tokens_in = ?, tokens_out = ?, "
                      "steps_completed = ?, artifact_count = ?, turn_ended = ?, parked = ? "
                      "WHERE at = ?"),
      update_run_phase_(db, "UPDATE runs SET phase = ?, started_ms = ?, finished_ms = ?, "
                            "cost_micro_usd = ?, tokens_in = ?, tokens_out = ?, attempt = ?, "
                            "steps_completed = ?, artifact_count = ?, last_seq = ?, "
                            "cause_seq = ?, due_ms = ?, timeout_due_ms = ?, cancelling = ?, "
                            "turn_ended = ?, parked = ?, long_content = ?, result = ?, "
                            "result_at = ?, error_code = ?, error_message = ? WHERE at = ?"),
      insert_artifact_(db, "INSERT INTO artifacts(at, id, run, workspace, name, media_type, "
                           "size_bytes, content, created_ms) VALUES(?,?,?,?,?,?,?,?,?)") {}

session_views::~session_views() = default;

// Finding entries: in memory, else in the file.

session_views::session_entry* session_views::find_session(const std::string& id) {
  if (auto known = sessions_.find(id); known != sessions_.end())
    return known->second.get();
  finished end{select_session_};
  if (!select_session_.with(id).row())
    return nullptr;
  auto s = std::make_unique<session_entry>();
  read_session(select_session_, s->row);
  s->stored = true;
  s->timeline_parked = parked_.holds("timeline", id);
  s->last_offset = offset_of(s->row.at);
  finished tail_end{select_tail_};
  if (select_tail_.with(s->row.at).row()) {
    auto row = select_tail_.values();
    auto chunk = row.natural();
    s->tail = row.blob();
    s->tail_stored = true;
    s->last_seq = first_seq_of(chunk) - 1;
    chunk_walker walk{s->tail, offset_of(s->row.at)};
    while (auto item = walk.next()) {
      ++s->last_seq;
      s->last_offset = item->offset;
    }
  }
  return sessions_.emplace(id, std::move(s)).first->second.get();
}

session_views::run_entry* session_views::adopt(std::unique_ptr<run_entry> e) {
  ++e->session->runs;
  auto* out = e.get();
  runs_.emplace(out->row.id.value, std::move(e));
  return out;
}

session_views::run_entry* session_views::find_run(const std::string& id) {
  if (auto known = runs_.find(id); known != runs_.end())
    return known->second.get();
  finished end{select_run_};
  if (!select_run_.with(id).row())
    return nullptr;
  auto e = std::make_unique<run_entry>();
  read_run(select_run_, e->row);
  e->stored = true;
  e->session = find_session(e->row.session.value);
  return adopt(std::move(e));
}

/// The session whose first event this is; what the event says comes after.
session_views::session_entry& session_views::make_session(const record& r) {
  auto s = std::make_unique<session_entry>();
  s->row.at = place_at(r.partition, r.offset);
  s->row.id = session_id{r.event.stream.value};
  s->row.workspace = r.event.workspace;
  s->row.created_at = s->row.last_activity_at = r.event.time;
  s->last_offset = r.offset;
  auto& out = *sessions_.emplace(r.event.stream.value, std::move(s)).first->second;
  touch(out);
  out.changed = true;
  return out;
}

void session_views::touch(session_entry& s) {
  if (!s.listed)
    touched_sessions_.push_back(&s);
  s.listed = true;
}

void session_views::touch(run_entry& e, bool phase_too) {
  if (!e.listed)
    touched_runs_.push_back(&e);
  e.listed = e.changed = true;
  e.phase_changed = e.phase_changed || phase_too;
}

void session_views::park(run_entry& e, const record& r, std::string reason) {
  e.row.parked = true;
  touch(e, false);
  parked_.park("runs", e.row.id.value, r, std::move(reason));
}

void session_views::park(session_entry& s, const record& r, std::string reason) {
  s.row.parked = true;
  touch(s);
  s.changed = true;
  parked_.park("sessions", s.row.id.value, r, std::move(reason));
}

// Folding.

void session_views::fold(const record& r, change_set& changes) {
  if (kind_of(r.event.stream) == stream_kind::run)
    fold_run(r, changes);
  else
    fold_session(r);
}

void session_views::fold_session(const record& r) {
  auto* s = r.event.seq == 1 ? nullptr : find_session(r.event.stream.value);
  if (s == nullptr && r.event.seq != 1) {
    parked_.park("sessions", r.event.stream.value, r, "the session has no first event");
    return;
  }
  if (s == nullptr)
    s = &make_session(r);
  run_entry* turn = nullptr;
  if (!s->row.parked) {
    switch (apply_session(r, *s, turn)) {
      case reading::fits:
        break;
      case reading::damaged:
        park(*s, r, cannot_be_read(r));
        break;
      case reading::unfit:
        park(*s, r, "a " + r.event.type + " does not fit the session's state");
        break;
      case reading::unknown_type:
        if (r.event.seq == 1) // Nothing is known about it then.
          park(*s, r, "an event of the unknown type " + r.event.type);
        break;
    }
  }
  auto seq = add_item(r, *s, turn, false);
  if (turn != nullptr && turn->row.first_seq == 0)
    turn->row.first_seq = seq;
}

void session_views::fold_run(const record& r, change_set& changes) {
  auto* e = find_run(r.event.stream.value);
  auto* s = e != nullptr ? e->session : find_session(r.event.partition_key);
  bool quiet = false;
  bool ran = e != nullptr && !run::terminal(e->row.phase);
  if (e == nullptr) {
    parked_.park("runs", r.event.stream.value, r, "no session has accepted the run");
  } else if (!e->row.parked) {
    switch (apply_run(r, *e, quiet)) {
      case reading::fits:
      case reading::unknown_type:
        break;
      case reading::damaged:
        park(*e, r, cannot_be_read(r));
        break;
      case reading::unfit:
        park(*e, r, "a " + r.event.type + " does not fit the run's state");
        break;
    }
  }
  if (s == nullptr)
    return;
  auto seq = add_item(r, *s, e, quiet);
  if (ran && run::terminal(e->row.phase)) {
    e->row.last_seq = seq;
    changes.ended_runs.push_back(e->row.id);
  }
}

session_views::reading session_views::apply_session(const record& r, session_entry& s,
                                                    run_entry*& turn) {
  if (!r.damage.empty())
    return reading::damaged;
  auto fact = decode<session::event>(r.event);
  if (!fact)
    return fact.error() == decode_errc::unknown_type ? reading::unknown_type : reading::damaged;
  // A state with just what fits() looks at: the phase, and the turn that the fact speaks of.
  session::state probe;
  probe.at = s.row.phase;
  const run_id* names = nullptr;
  auto* accepted = std::get_if<session::turn_accepted>(&*fact);
  auto* ended = std::get_if<session::turn_ended>(&*fact);
  if (accepted != nullptr)
    names = &accepted->run;
  else if (ended != nullptr)
    names = &ended->run;
  auto* known = names != nullptr ? find_run(names->value) : nullptr;
  if (known != nullptr && (accepted != nullptr || known->session == &s))
    probe.turns.push_back(
        {known->row.id, 0, 0, known->row.turn_ended ? "ended" : "pending", {}, {}});
  if (!session::fits(probe, *fact))
    return reading::unfit;

  s.row.last_activity_at = r.event.time;
  touch(s);
  s.changed = true;
  if (accepted != nullptr) {
    turn = accept_turn(r, s, *accepted);
  } else if (ended != nullptr) {
    known->row.turn_ended = true;
    touch(*known, false);
  } else if (auto* cancel = std::get_if<session::cancel_requested>(&*fact)) {
    s.row.phase = session::phase::cancelling;
    s.row.reason = cancel->reason;
  } else if (auto* end = std::get_if<session::terminated>(&*fact)) {
    s.row.phase = session::phase::terminated;
    s.row.reason = end->reason;
    s.row.terminated_at = r.event.time;
  }
  return reading::fits;
}

namespace {

/// Copies a payload while it is short; otherwise notes that the ledger has it.
void keep(const payload& p, std::string& copy, int& long_content, int bit) {
  if (p.blob || p.json.size() > copied_content_bytes)
    long_content |= bit;
  else
    copy = p.json;
}

} // namespace

session_views::run_entry* session_views::accept_turn(const record& r, session_entry& s,
                                                     session::turn_accepted& fact) {
  if (s.row.phase == session::phase::absent) {
    s.row.phase = session::phase::active;
    s.row.agent = fact.agent;
    s.row.agent_slug = fact.agent_slug;
    s.row.agent_version = fact.agent_version;
  }
  auto e = std::make_unique<run_entry>();
  e->session = &s;
  auto& row = e->row;
  row.at = place_at(r.partition, r.offset);
  row.session_at = s.row.at;
  row.id = fact.run;
  row.session = s.row.id;
  row.workspace = r.event.workspace;
  row.turn = fact.turn;
  row.accepted_seq = r.event.seq;
  row.kind = std::move(fact.kind);
  row.trigger = std::move(fact.trigger);
  row.agent = std::move(fact.agent);
  row.parent_run = std::move(fact.parent_run);
  keep(fact.prompt, row.prompt, row.long_content, stored_run::long_prompt);
  keep(fact.initial_state, row.initial_state, row.long_content, stored_run::long_state);
  row.created_at = r.event.time;
  auto* out = adopt(std::move(e));
  touch(*out, true);
  return out;
}

session_views::reading session_views::apply_run(const record& r, run_entry& e, bool& quiet) {
  if (!r.damage.empty())
    return reading::damaged;
  auto fact = decode<run::event>(r.event);
  if (!fact)
    return fact.error() == decode_errc::unknown_type ? reading::unknown_type : reading::damaged;
  thread_local run::state probe; // With just what fits() looks at.
  probe.at = e.row.phase;
  if (!run::fits(probe, *fact))
    return reading::unfit;
  apply(r, e, *fact, quiet);
  return reading::fits;
}

void session_views::end_run(const record& r, run_entry& e, run::phase how) {
  e.row.phase = how;
  e.row.finished_at = r.event.time;
  e.row.cause_seq = r.event.seq;
  e.row.due = e.row.timeout_due = std::nullopt;
  e.row.cancelling = false;
  touch(e, true);
}

void session_views::publish(const record& r, run_entry& e, run::artifact_published& fact) {
  ++e.row.artifact_count;
  touch(e, false);
  artifacts_.push_back({place_at(r.partition, r.offset), std::move(fact.artifact), e.row.id,
                        r.event.workspace, std::move(fact.title), std::move(fact.media_type),
                        fact.size_bytes, fact.content, r.event.time});
  artifact_runs_.push_back(e.row.at);
}

void session_views::apply(const record& r, run_entry& e, run::event& fact, bool& quiet) {
  auto& row = e.row;
  auto moved = [&] {
    row.cause_seq = r.event.seq;
    touch(e, true);
  };
  std::visit(overloaded{[&](run::started& f) {
                          row.phase = run::phase::running;
                          row.attempt = 1;
                          row.started_at = r.event.time;
                          if (f.limits.timeout_ms)
                            row.timeout_due =
                                r.event.time + std::chrono::milliseconds{*f.limits.timeout_ms};
                          moved();
                        },
                        [&](run::attempt_started& f) {
                          row.phase = run::phase::running;
                          row.attempt = f.attempt;
                          row.due.reset();
                          moved();
                        },
                        [&](run::attempt_failed& f) {
                          row.phase = run::phase::backing_off;
                          row.due = f.due;
                          moved();
                        },
                        [&](run::cancel_requested& f) {
                          row.cancelling = true;
                          row.due = f.due;
                          moved();
                        },
                        [&](run::step_completed&) {
                          ++row.steps_completed;
                          touch(e, false);
                        },
                        [&](run::usage_reported& f) {
                          add_up(row.tokens_in, f.tokens_in);
                          add_up(row.tokens_out, f.tokens_out);
                          row.cost += f.cost_micro_usd;
                          touch(e, false);
                        },
                        [&](run::artifact_published& f) { publish(r, e, f); },
                        [&](run::succeeded& f) {
                          end_run(r, e, run::phase::succeeded);
                          keep(f.result, row.result, row.long_content, stored_run::long_result);
                          row.result_at = place_at(r.partition, r.offset);
                        },
                        [&](run::failed& f) {
                          end_run(r, e, run::phase::failed);
                          row.error = std::move(f.error);
                        },
                        [&](run::cancelled&) { end_run(r, e, run::phase::cancelled); },
                        [&](run::logged& f) { quiet = f.level == "debug" || f.level == "trace"; },
                        [](auto&) {}},
             fact);
}

std::uint64_t session_views::add_item(const record& r, session_entry& s, const run_entry* run,
                                      bool quiet) {
  if (s.timeline_parked)
    return 0;
  auto verdict = place_of(r);
  if (verdict == timeline_verdict::no_place)
    return 0;
  if (verdict == timeline_verdict::unknown) {
    s.timeline_parked = true;
    parked_.park("timeline", s.row.id.value, r, "an event of the unknown type " + r.event.type);
    return 0;
  }
  if (s.last_seq != 0 && s.last_seq % chunk_items == 0 && !s.tail.empty()) {
    if (s.tail_changed)
      s.full.push_back({chunk_of(s.last_seq), std::move(s.tail), s.tail_stored});
    s.tail.clear();
    s.tail_stored = s.tail_changed = false;
    s.last_offset = offset_of(s.row.at);
  }
  const auto* type = find_event_type(r.event.type);
  chunk_item item{r.offset, run != nullptr ? static_cast<std::uint64_t>(run->row.turn) : 0,
                  flags_of(*type, quiet)};
  append_item(s.tail, item, s.last_offset);
  s.last_offset = r.offset;
  s.tail_changed = true;
  touch(s);
  return ++s.last_seq;
}

// Writing.

void session_views::write_session(session_entry& s) {
  const auto& row = s.row;
  if (!s.stored)
    insert_session_
        .with(row.at, row.id, row.workspace, row.agent, row.agent_slug, row.agent_version,
              row.phase, row.reason, row.created_at, row.last_activity_at, row.terminated_at,
              row.parked)
        .run();
  else
    update_session_
        .with(row.phase, row.reason, row.last_activity_at, row.terminated_at, row.parked, row.at)
        .run();
}

void session_views::write_timeline(session_entry& s) {
  auto write = [&](std::uint64_t chunk, const std::string& items, bool stored) {
    if (stored)
      update_chunk_.with(bytes{items}, s.row.at, chunk).run();
    else
      insert_chunk_.with(s.row.at, chunk, bytes{items}).run();
  };
  for (const auto& one : s.full)
    write(one.chunk, one.items, one.stored);
  if (s.tail_changed)
    write(chunk_of(s.last_seq), s.tail, s.tail_stored);
}

void session_views::write_run(run_entry& e) {
  const auto& r = e.row;
  if (!e.stored)
    insert_run_
        .with(r.at, r.id, r.session_at, r.turn, r.workspace, r.agent, r.created_at, r.kind,
              r.trigger, r.accepted_seq, r.first_seq, nullable_text{r.parent_run.value},
              nullable_text{r.prompt}, nullable_text{r.initial_state}, r.phase, r.started_at,
              r.finished_at, count(r.cost), r.tokens_in, r.tokens_out, r.attempt, r.steps_completed,
              r.artifact_count, r.last_seq, r.cause_seq, r.due, r.timeout_due, r.cancelling,
              r.turn_ended, r.parked, r.long_content, nullable_text{r.result}, r.result_at,
              nullable_text{r.error.code}, nullable_text{r.error.message})
        .run();
  else if (e.phase_changed)
    update_run_phase_
        .with(r.phase, r.started_at, r.finished_at, count(r.cost), r.tokens_in, r.tokens_out,
              r.attempt, r.steps_completed, r.artifact_count, r.last_seq, r.cause_seq, r.due,
              r.timeout_due, r.cancelling, r.turn_ended, r.parked, r.long_content,
              nullable_text{r.result}, r.result_at, nullable_text{r.error.code},
              nullable_text{r.error.message}, r.at)
        .run();
  else
    update_run_
        .with(count(r.cost), r.tokens_in, r.tokens_out, r.steps_completed, r.artifact_count,
              r.turn_ended, r.parked, r.at)
        .run();
}

void session_views::write(change_set& changes) {
  for (auto* s : touched_sessions_) {
    if (s->tail_changed)
      changes.timelines[s->row.id] = s->last_seq;
    if (s->changed)
      write_session(*s);
    write_timeline(*s);
  }
  for (auto* e : touched_runs_)
    if (e->changed)
      write_run(*e);
  for (std::size_t i = 0; i < artifacts_.size(); ++i) {
    const auto& a = artifacts_[i];
    insert_artifact_
        .with(a.at, a.id, artifact_runs_[i], a.workspace, a.name, a.media_type, a.size_bytes,
              a.content, a.created_at)
        .run();
  }
}

void session_views::settle() {
  for (auto* e : touched_runs_) {
    e->stored = true;
    e->changed = e->phase_changed = e->listed = false;
    if (!run::terminal(e->row.phase) || !e->row.turn_ended)
      continue;
    --e->session->runs;
    touch(*e->session);
    runs_.erase(e->row.id.value);
  }
  for (auto* s : touched_sessions_) {
    s->stored = true;
    s->tail_stored = s->tail_stored || s->tail_changed;
    s->tail_changed = s->changed = s->listed = false;
    s->full.clear();
    if (s->runs == 0)
      sessions_.erase(s->row.id.value);
  }
  touched_runs_.clear();
  touched_sessions_.clear();
  artifacts_.clear();
  artifact_runs_.clear();
  if (runs_.size() + sessions_.size() > cached_entries)
    forget();
}

void session_views::forget() {
  touched_runs_.clear();
  touched_sessions_.clear();
  artifacts_.clear();
  artifact_runs_.clear();
  runs_.clear();
  sessions_.clear();
}

} // namespace runledger::views
