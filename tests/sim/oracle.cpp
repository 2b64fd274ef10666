#include "tests/sim/oracle.hpp"

#include "actors/entity_traits.hpp"
#include "tests/support/event_schemas.hpp"

#include <algorithm>

namespace runledger::sim {

namespace {

bool is_type(const record& r, std::string_view name) {
  return r.event.type == full_type(name, 1);
}

const std::string* frame_of(const run::event& fact) {
  return std::visit(
      [](const auto& e) -> const std::string* {
        if constexpr (requires { e.frame; })
          return &e.frame;
        else
          return nullptr;
      },
      fact);
}

bool is_terminal(const run::event& fact) {
  return std::holds_alternative<run::succeeded>(fact) || std::holds_alternative<run::failed>(fact)
         || std::holds_alternative<run::cancelled>(fact);
}

/// The topic by the stream's name, from the table in docs/events.md.
std::string topic_in_docs(const std::string& stream) {
  for (const char* prefix : {"sess_", "run_"})
    if (stream.starts_with(prefix))
      return "runs";
  return stream.starts_with("wrk_") || stream.starts_with("queue/") ? "workers" : "catalog";
}

/// Failures that no harness is to blame for.
bool limit_code(const std::string& code) {
  static const std::set<std::string> codes{"timeout", "cost_limit_exceeded", "step_limit_exceeded",
                                           "secret_missing", "ledger_corrupt"};
  return codes.contains(code);
}

} // namespace

void oracle::complain(std::string what) {
  if (problem_.empty())
    problem_ = std::move(what);
}

void oracle::wrong(const record& r, const std::string& what) {
  complain(r.event.id() + " (" + r.event.type + ", offset " + std::to_string(r.offset)
           + "): " + what);
}

const oracle::stream* oracle::find(const stream_id& id) const {
  auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : &found->second;
}

const run::state* oracle::run_of(const run_id& id) const {
  const auto* s = find(stream_of(id));
  return s == nullptr ? nullptr : std::get_if<run::state>(&s->state);
}

const session::state* oracle::session_of(const session_id& id) const {
  const auto* s = find(stream_of(id));
  return s == nullptr ? nullptr : std::get_if<session::state>(&s->state);
}

std::optional<timestamp> oracle::cancelled_at(const session_id& id) const {
  auto found = cancelled_.find(id);
  return found == cancelled_.end() ? std::nullopt : std::optional{found->second};
}

bool oracle::holds(const envelope& e) const {
  const auto* s = find(e.stream);
  return s != nullptr && e.seq >= 1 && e.seq <= s->hashes.size()
         && s->hashes[e.seq - 1] == e.eventhash;
}

void oracle::catch_up() {
  for (std::uint32_t p = 0; p < partitions_.size(); ++p)
    catch_up(p);
}

void oracle::catch_up(std::uint32_t partition) {
  auto& seen = partitions_[partition].seen;
  auto raw = disk_.raw(partition, seen);
  if (raw.empty())
    return;
  auto taken = disk_.read_partition(partition, static_cast<std::int64_t>(seen), raw.size());
  if (!taken)
    return complain("the partition cannot be read");
  auto next = taken->begin();
  for (const auto& r : raw) {
    bool log_took_it = next != taken->end() && *next == r;
    if (log_took_it)
      ++next;
    auto broken = broken_rule(*r, partition);
    if (broken.empty() != log_took_it)
      return wrong(*r, log_took_it ? "the ledger accepted it, although " + std::string{broken}
                                   : "the ledger skipped it, and it breaks no rule");
    if (log_took_it)
      take(*r);
    ++seen;
  }
}

bool oracle::lives_in(const envelope& e, std::uint32_t partition) const {
  const auto& here = disk_.partition_name(partition);
  if (e.stream.value.starts_with("part_"))
    return e.stream.value == "part_" + here.topic + '_' + std::to_string(here.number);
  return (here.topic == "ledger" || here.topic == topic_in_docs(e.stream.value))
         && partition_for(e.partition_key, here.count) == here.number;
}

/// Rules 1 to 3 of the ledger, for one partition: the one that the record breaks; empty: none.
std::string_view oracle::broken_rule(const record& r, std::uint32_t partition) const {
  const auto& e = r.event;
  auto copy = e;
  seal(copy);
  if (copy.datahash != e.datahash || copy.eventhash != e.eventhash)
    return "its hashes are not those of its content";
  if (is_type(r, "partition.opened") || is_type(r, "partition.claimed")) {
    auto broken = broken_claim_rule(r, partition);
    if (!broken.empty() || is_type(r, "partition.opened"))
      return broken;
  } else if (r.epoch != partitions_[partition].epoch) {
    return "its writer does not have the partition";
  }
  if (!lives_in(e, partition))
    return "its stream lives in another partition";
  const auto* s = find(e.stream);
  if (e.seq != (s != nullptr ? s->hashes.size() : 0) + 1)
    return "its seq is not the next one";
  if (e.prevhash != (s != nullptr ? s->hashes.back() : digest{}))
    return "it does not follow the last event";
  auto key_fits = kind_of(e.stream) == stream_kind::run
                      ? derive_run_id(session_id{e.partition_key}, command_id{e.causation_id}).value
                            == e.stream.value
                      : e.partition_key == e.stream.value;
  if (s != nullptr ? e.partition_key != s->partition_key : !key_fits)
    return "its partition key is wrong";
  return {};
}

std::string_view oracle::broken_claim_rule(const record& r, std::uint32_t partition) const {
  const auto& now = partitions_[partition];
  if (!r.event.stream.value.starts_with("part_") || !lives_in(r.event, partition))
    return "it speaks of another partition";
  if (is_type(r, "partition.opened"))
    return !now.opened && r.event.seq == 1 && r.epoch == 0 ? "" : "the partition exists";
  auto says = r.event.data.find("\"epoch\":" + std::to_string(now.epoch + 1)) != std::string::npos;
  return says && r.epoch == now.epoch + 1 ? "" : "its claim is not the next one";
}

template <class Traits, class State>
bool oracle::fold(stream& s, const record& r) {
  auto fact = decode<typename Traits::event>(r.event);
  if (!fact) {
    wrong(r, "its data cannot be read");
    return false;
  }
  if (std::holds_alternative<std::monostate>(s.state))
    s.state = State{};
  auto& state = std::get<State>(s.state);
  if (!Traits::fits(state, *fact))
    wrong(r, "it does not fit the state before it");
  if constexpr (std::is_same_v<State, run::state>)
    check_run(run_id{r.event.stream.value}, *fact, r, state);
  if constexpr (std::is_same_v<State, session::state>)
    check_session(session_id{r.event.stream.value}, *fact, r);
  if (!problem_.empty())
    return false;
  state = Traits::evolve(std::move(state), *fact, r.event);
  if constexpr (std::is_same_v<State, run::state>)
    check_sums(run_id{r.event.stream.value}, state, r);
  return true;
}

void oracle::take(const record& r) {
  const auto& e = r.event;
  auto& s = streams_[e.stream];
  if (s.hashes.empty()) {
    s.partition_key = e.partition_key;
    s.workspace = e.workspace;
  }
  if (e.time < s.time)
    wrong(r, "its time is before its predecessor's");
  if (const auto mismatch = test::schema_mismatch(e); !mismatch.empty())
    wrong(r, mismatch);
  s.time = e.time;
  s.hashes.push_back(e.eventhash);
  ++events_;
  auto& here = partitions_[r.partition];
  if (is_type(r, "partition.opened"))
    here.opened = true;
  if (is_type(r, "partition.claimed"))
    here.epoch = r.epoch;
  switch (kind_of(e.stream)) {
    case stream_kind::run:
      fold<run_traits, run::state>(s, r);
      break;
    case stream_kind::session:
      fold<session_traits, session::state>(s, r);
      break;
    case stream_kind::agent:
      fold<agent_traits, agent::state>(s, r);
      break;
    case stream_kind::names:
      fold<names_traits, names::state>(s, r);
      break;
    case stream_kind::worker:
      fold<worker_traits, worker::state>(s, r);
      break;
    case stream_kind::queue:
      fold<queue_traits, queue::state>(s, r);
      break;
    case stream_kind::key:
      fold<key_traits, key::state>(s, r);
      break;
    case stream_kind::workspace:
      fold<workspace_traits, workspace::state>(s, r);
      break;
    case stream_kind::audit:
    case stream_kind::partition:
      check_tree_head(r);
      break;
    case stream_kind::unknown:
      if (is_node_stream(e.stream))
        take_key(r);
      break;
  }
  if (kind_of(e.stream) != stream_kind::partition)
    here.tree.add(e.eventhash);
  if (on_event)
    on_event(r);
}

void oracle::take_key(const record& r) {
  auto fact = decode<node::event>(r.event);
  if (!fact)
    return wrong(r, "its data cannot be read");
  for (const auto& k : node::evolve({}, *fact, r.event.time).keys)
    node_keys_[r.event.stream.value].push_back(k.key);
}

/// A head may land late, behind events that it does not cover.
void oracle::check_tree_head(const record& r) {
  auto& here = partitions_[r.partition];
  if (auto opened = read_opened(r.event.data)) {
    here.ledger = opened->ledger;
    if (here.ledger != partitions_.front().ledger)
      return wrong(r, "it is of another ledger than the first partition");
  }
  if (!is_type(r, tree_head::name))
    return;
  auto fact = decode<partition_event>(r.event);
  auto head = signed_head_of(r.event, here.ledger);
  if (!fact || !head || !tree_of(std::get<tree_head>(*fact)))
    return wrong(r, "its size, root and frontier do not fit together");
  if (head->tree_size > here.tree.size())
    return wrong(r, "it covers more events than there are");
  if (head->root != here.tree.root(head->tree_size))
    return wrong(r, "its root is not that of the events before it");
  const auto& keys = node_keys_[node_stream_of(head->node).value];
  if (std::ranges::none_of(keys, [&](const auto& key) { return is_signed_by(*head, key); }))
    return wrong(r, "no key that its node has registered has signed it");
  here.signed_events = std::max(here.signed_events, head->tree_size);
}

// -- runs --------------------------------------------------------------------------------------

void oracle::check_run(const run_id& id, const run::event& fact, const record& r,
                       const run::state& now) {
  auto& n = runs_[id];
  if (n.terminal)
    return wrong(r, "the run has ended already");
  if (!accepted_runs_.contains(id))
    return wrong(r, "no session has accepted this run");
  if (const auto* frame = frame_of(fact); frame != nullptr && !frame->empty()) {
    if (!n.frames.insert(*frame).second)
      return wrong(r, "the frame " + *frame + " took effect twice");
    if (n.acknowledged.contains(*frame))
      return wrong(r, "the frame " + *frame + " was acknowledged before it is durable");
  }
  if (n.must_fail_for_cost && !is_terminal(fact))
    return wrong(r, "the run goes on beyond its cost limit");
  if (const auto* e = std::get_if<run::started>(&fact)) {
    n.attempt = 1;
    const auto* s = session_of(e->session);
    for (const auto& turn : s->turns)
      if (turn.number < e->turn && !runs_[turn.run].terminal)
        return wrong(r, "an earlier turn of its session has not ended");
  } else if (const auto* again = std::get_if<run::attempt_started>(&fact)) {
    if (again->attempt != n.attempt + 1)
      return wrong(r, "attempt " + std::to_string(again->attempt) + " follows attempt "
                          + std::to_string(n.attempt));
    if (!n.backing_off)
      return wrong(r, "an attempt begins while one is under way");
    if (r.event.time < n.backoff_due)
      return wrong(r, "the attempt begins before its back-off is over");
    n.attempt = again->attempt;
    n.backing_off = false;
  } else if (const auto* over = std::get_if<run::attempt_failed>(&fact)) {
    if (over->attempt != n.attempt || n.backing_off)
      return wrong(r, "no such attempt is under way");
    n.backing_off = true;
    n.backoff_due = over->due;
    check_counted(n, id, over->error, over->counted, now, r);
  } else if (std::holds_alternative<run::cancel_requested>(fact)) {
    n.cancel_requested = true;
  } else if (const auto* usage = std::get_if<run::usage_reported>(&fact)) {
    n.cost += usage->cost_micro_usd;
    n.must_fail_for_cost = now.limits.max_cost_micro_usd && !n.cancel_requested
                           && n.cost > *now.limits.max_cost_micro_usd;
  }
  check_step(n, fact, r);
  if (is_terminal(fact))
    check_end(n, fact, r, now);
}

void oracle::check_step(run_notes& n, const run::event& fact, const record& r) {
  if (const auto* begun = std::get_if<run::step_started>(&fact)) {
    if (n.cancel_requested)
      return wrong(r, "a step begins after the cancellation");
    if (n.done.contains(begun->key) || n.gave_up.contains(begun->key))
      return wrong(r, "the step is over already");
    auto& executions = n.executions[begun->key];
    if (begun->attempt != ++executions)
      return wrong(r, "execution " + std::to_string(begun->attempt) + " is the "
                          + std::to_string(executions) + "th");
  } else if (const auto* done = std::get_if<run::step_completed>(&fact)) {
    if (!n.executions.contains(done->key) || n.gave_up.contains(done->key))
      return wrong(r, "the step is not under way");
    if (!n.done.insert(done->key).second)
      return wrong(r, "the step is recorded twice");
    ++n.steps;
  } else if (const auto* failed = std::get_if<run::step_failed>(&fact)) {
    if (n.done.contains(failed->key) || !n.gave_up.insert(failed->key).second)
      return wrong(r, "the step is over already");
  }
}

void oracle::check_end(run_notes& n, const run::event& fact, const record& r,
                       const run::state& now) {
  n.terminal = true;
  bool is_cancelled = std::holds_alternative<run::cancelled>(fact);
  if (n.cancel_requested && !is_cancelled)
    return wrong(r, "the run was being cancelled");
  if (n.must_fail_for_cost && !std::holds_alternative<run::failed>(fact))
    return wrong(r, "the run was beyond its cost limit");
  if (std::holds_alternative<run::succeeded>(fact) && n.backing_off)
    return wrong(r, "no attempt is under way");
  const auto* failed = std::get_if<run::failed>(&fact);
  if (failed != nullptr && !limit_code(failed->error.code) && now.at != run::phase::absent)
    check_counted(n, run_id{r.event.stream.value}, failed->error, true, now, r);
}

void oracle::check_sums(const run_id& id, const run::state& now, const record& r) {
  const auto& n = runs_[id];
  if (now.cost != n.cost || now.steps_completed != n.steps)
    wrong(r, "the folded cost or number of steps is not the sum of the events");
}

void oracle::check_counted(run_notes& n, const run_id& id, const failure& error, bool counted,
                           const run::state& now, const record& r) {
  if (!counted)
    return;
  if (++n.counted > now.retry.max_attempts)
    wrong(r, "more attempts count than the policy has");
  if (may_count && !may_count(now, id, n.attempt))
    wrong(r, "attempt " + std::to_string(n.attempt) + " counts (" + error.code
                 + "), but its harness did nothing wrong");
}

void oracle::check_line(const std::string& run, const json::value& line) {
  catch_up();
  auto text = [&](std::string_view name) {
    auto found = line.find(name);
    return found && found->is_string() ? std::string{found->string()} : std::string{};
  };
  auto type = text("type"), key = text("key");
  if (run.empty() || type == "cancel" || type == "history")
    return; // Cutting off needs no event.
  auto number = [&] { return line.find("attempt")->integer().value_or(0); };
  auto& n = runs_[run_id{run}];
  bool known = false;
  if (type == "run.start") {
    known = number() <= n.attempt;
  } else if (type == "step.go") {
    auto begun = n.executions.find(key);
    known = begun != n.executions.end() && number() <= begun->second;
  } else if (type == "step.cached") {
    known = n.done.contains(key);
  } else if (type == "step.give_up") {
    known = n.gave_up.contains(key);
  } else if (type == "ack") { // Not every frame makes an event; one that does is told after it.
    if (auto id = text("id"); !n.frames.contains(id))
      n.acknowledged.insert(id);
    known = true;
  }
  if (!known)
    complain("the harness of " + run + " was told " + type + ' ' + key + " before it is durable");
}

// -- sessions ----------------------------------------------------------------------------------

void oracle::check_session(const session_id& id, const session::event& fact, const record& r) {
  const auto* now = session_of(id);
  if (const auto* accepted = std::get_if<session::turn_accepted>(&fact)) {
    if (accepted->turn != static_cast<std::int64_t>(now->turns.size()) + 1)
      wrong(r, "turn " + std::to_string(accepted->turn) + " is out of order");
    if (!accepted_runs_.emplace(accepted->run, id).second)
      wrong(r, "the run is accepted twice");
    turns_.emplace(accepted->run, accepted_turn{id, *accepted, r.event.time});
    if (!accepted->key.empty()) {
      auto scope = (accepted->turn == 1 ? accepted->agent.value : id.value) + '/' + accepted->key;
      if (!keyed_.emplace(scope, accepted->run).second)
        wrong(r, "the Idempotency-Key " + accepted->key + " made a second run");
    }
  } else if (const auto* ended = std::get_if<session::turn_ended>(&fact)) {
    const auto* state = run_of(ended->run);
    if (state == nullptr || !run::terminal(state->at))
      wrong(r, "the run of this turn has not ended");
    else if (run::to_string(state->at) != ended->status)
      wrong(r, "the run ended otherwise");
  } else if (std::holds_alternative<session::cancel_requested>(fact)) {
    cancelled_[id] = r.event.time;
  } else if (std::holds_alternative<session::terminated>(fact)) {
    if (session::current(*now) != nullptr)
      wrong(r, "a turn of the session has not ended");
  }
}

// -- actors ------------------------------------------------------------------------------------

#ifdef RUNLEDGER_PLANT_BUGS
void oracle::compare(const state_probe& seen) {
  catch_up();
  const auto* s = find(seen.stream);
  auto where = seen.stream.value + " at seq " + std::to_string(seen.head.seq) + ": ";
  if (s == nullptr || seen.head.seq > s->hashes.size())
    return complain(where + "its actor believes in events that the ledger does not hold");
  if (seen.head.seq == 0 || s->hashes[seen.head.seq - 1] != seen.head.hash)
    return complain(where + "its actor has another history than the ledger");
  if (seen.head.seq < s->hashes.size())
    return; // Somebody else wrote meanwhile; the next append is refused.
  std::visit(
      [&](const auto* state) {
        using state_type = std::decay_t<decltype(*state)>;
        if (*state != std::get<state_type>(s->state))
          complain(where + "its actor's state is not the fold of its stream");
      },
      seen.state);
}
#endif

} // namespace runledger::sim
