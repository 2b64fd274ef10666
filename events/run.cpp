#include "events/run.hpp"

#include "events/planted_bugs.hpp"

#include <algorithm>

namespace runledger::run {

namespace {

using std::chrono::milliseconds;

refusal protocol_error(std::string detail) {
  return {rejection::protocol_error, std::move(detail)};
}

failure limit_failure(std::string code, std::string message) {
  return {std::move(code), std::move(message)};
}

/// The end of a run whose cancellation was asked for: whatever else would have ended it, it is
/// cancelled.
cancelled end_of_cancelled(const state& s) {
  return {{}, 0, s.attempt, s.cancel_reason};
}

/// An attempt that was lost is made again at once; the next ones that are lost without a step done
/// in between wait longer and longer: a worker that gives back whatever it gets costs little.
std::int64_t pause_after_loss_ms(std::int64_t losses) {
  constexpr std::int64_t first_ms = 100, most_ms = 10'000;
  constexpr std::int64_t doublings_max = 10;
  if (losses <= 1)
    return 0;
  return std::min(most_ms, first_ms << std::min(losses - 2, doublings_max));
}

/// Ends the attempt: the next one follows after a back-off, or the run ends.
outcome after_failed_attempt(const state& s, const command& c, const end_attempt& e) {
  outcome out;
  if (s.cancel_due) {
    out.facts.emplace_back(end_of_cancelled(s));
    out.effects = {stop{}, announce_end{}};
    return out;
  }
  auto failures = s.failures + (e.counted ? 1 : 0);
  if (e.final || failures >= s.retry.max_attempts) {
    out.facts.emplace_back(failed{{}, 0, s.attempt, e.error, {}});
    out.effects = {stop{}, announce_end{}};
    return out;
  }
  auto delay =
      e.counted ? backoff_ms(s.retry, failures, c.random) : pause_after_loss_ms(s.losses + 1);
  out.facts.emplace_back(attempt_failed{s.attempt, e.error, e.counted, s.attempt + 1, delay,
                                        c.now + milliseconds{delay}});
  out.effects = {stop{}, requeue{}};
  return out;
}

decision on(const state& s, const command& c, const start& ask) {
  if (s.at == phase::absent) {
    return outcome{{started{ask.session, ask.turn, ask.agent, ask.agent_version, ask.limits,
                            ask.retry, ask.drain_ms, ask.worker, ask.inherited}},
                   {launch{}},
                   {}};
  }
  if (terminal(s.at))
    return refusal{rejection::already_ended, {}};
  if (s.at != phase::backing_off || (s.backoff_due && *s.backoff_due > c.now))
    return refusal{rejection::not_waiting, {}};
  auto next = planted(bug::retry_forgets_attempt) ? s.attempt : s.attempt + 1;
  return outcome{{attempt_started{next, ask.worker}}, {launch{}}, {}};
}

/// A step's execution begins; the step may be new.
decision begin_step(const state& s, const command& c, const frame& f, const start_step& ask,
                    const step* before) {
  outcome out;
  if (before == nullptr && s.limits.max_steps
      && static_cast<std::int64_t>(s.steps.size()) >= *s.limits.max_steps) {
    out.facts.emplace_back(
        failed{{},
               0,
               s.attempt,
               limit_failure("step_limit_exceeded",
                             "Step limit exceeded: " + std::to_string(s.steps.size() + 1)
                                 + " > max " + std::to_string(*s.limits.max_steps)),
               f.id});
    out.effects = {stop{}, announce_end{}};
    return out;
  }
  std::optional<timestamp> due;
  if (ask.timeout_ms)
    due = c.now + milliseconds{*ask.timeout_ms};
  auto attempt = (before != nullptr ? before->attempt : 0) + 1;
  out.facts.emplace_back(
      step_started{ask.key, ask.title, ask.kind, attempt, due, ask.max_cost, f.id});
  out.effects.emplace_back(go{ask.key, attempt});
  return out;
}

decision on_frame(const state& s, const command& c, const frame& f, const start_step& ask) {
  if (s.cancel_due)
    return outcome{}; // Nothing more after `cancel`.
  auto found = s.steps.find(ask.key);
  if (found == s.steps.end())
    return begin_step(s, c, f, ask, nullptr);
  const auto& known = found->second;
  switch (known.at) {
    case step_phase::done:
      return outcome{{}, {give_cached{ask.key, known.output, known.source}}, {}};
    case step_phase::gave_up:
      return outcome{{}, {give_up{ask.key, known.error, known.source}}, {}};
    case step_phase::running:
    case step_phase::retrying:
      if (known.run_attempt == s.attempt)
        return protocol_error("step.start of \"" + ask.key + "\", which is under way already");
      return begin_step(s, c, f, ask, &known); // Cut off in an earlier attempt.
  }
  return outcome{};
}

/// The step that a frame speaks of, if it is executing in this attempt.
const step* executing(const state& s, const std::string& key) {
  auto found = s.steps.find(key);
  if (found == s.steps.end() || found->second.at != step_phase::running
      || found->second.run_attempt != s.attempt)
    return nullptr;
  return &found->second;
}

decision on_frame(const state& s, const command& c, const frame& f, const finish_step& ask) {
  auto found = s.steps.find(ask.key);
  if (found != s.steps.end() && found->second.at == step_phase::done
      && !planted(bug::step_done_twice))
    return outcome{}; // A second step.done of one key is ignored.
  const auto* known = planted(bug::step_done_twice) && found != s.steps.end()
                          ? &found->second
                          : executing(s, ask.key);
  if (known == nullptr)
    return protocol_error("step.done of \"" + ask.key + "\", which is not executing");
  auto duration = std::max<std::int64_t>(0, (c.now - known->started_at).count());
  return outcome{{step_completed{ask.key, known->attempt, duration, ask.output, f.id}}, {}, {}};
}

decision on_frame(const state& s, const command& c, const frame& f, const fail_step& ask) {
  const auto* known = executing(s, ask.key);
  if (known == nullptr)
    return protocol_error("step.fail of \"" + ask.key + "\", which is not executing");
  auto failures = known->failures + 1;
  if (!ask.retryable || failures >= s.retry.max_attempts)
    return outcome{{step_failed{ask.key, known->attempt, ask.error, f.id}},
                   {give_up{ask.key, ask.error, {}}},
                   {}};
  auto delay = backoff_ms(s.retry, failures, c.random);
  return outcome{{step_retrying{ask.key, known->attempt, ask.error, known->attempt + 1, delay,
                                c.now + milliseconds{delay}, f.id}},
                 {},
                 {}};
}

std::string cost_message(micro_usd cost, micro_usd max) {
  return "Cost limit exceeded: $" + to_usd_text(cost) + " > max $" + to_usd_text(max);
}

decision on_frame(const state& s, const command&, const frame& f, const note& ask) {
  outcome out;
  std::visit(
      [&](auto fact) {
        fact.frame = f.id;
        out.facts.emplace_back(std::move(fact));
      },
      ask.fact);
  const auto* usage = std::get_if<usage_reported>(&ask.fact);
  if (usage == nullptr || !s.limits.max_cost_micro_usd || s.cancel_due)
    return out;
  auto cost = s.cost + usage->cost_micro_usd;
  if (cost > *s.limits.max_cost_micro_usd) {
    out.facts.emplace_back(failed{
        {},
        0,
        s.attempt,
        limit_failure("cost_limit_exceeded", cost_message(cost, *s.limits.max_cost_micro_usd)),
        {}});
    out.effects = {stop{}, announce_end{}};
  }
  return out;
}

decision on_frame(const state& s, const command&, const frame& f, const succeed& ask) {
  outcome out;
  if (s.cancel_due && !planted(bug::cancel_loses_to_success))
    out.facts.emplace_back(end_of_cancelled(s));
  else
    out.facts.emplace_back(succeeded{s.attempt, ask.output, f.id});
  out.effects = {announce_end{}};
  return out;
}

decision on_frame(const state& s, const command& c, const frame&, const fail& ask) {
  auto out = after_failed_attempt(s, c, end_attempt{s.attempt, ask.error, true, !ask.retryable});
  for (auto& effect : out.effects)
    if (auto* halt = std::get_if<stop>(&effect))
      halt->clean = true;
  return out;
}

decision on(const state& s, const command& c, const frame& f) {
  if (terminal(s.at))
    return refusal{rejection::already_ended, {}};
  if (s.at != phase::running || f.attempt != s.attempt)
    return refusal{rejection::stale_attempt, {}};
  if (!f.id.empty() && s.frames.contains(f.id) && !planted(bug::frame_id_forgotten)) {
    // An answer may be owed although the frame is known: a step started in an earlier attempt with
    // the same id.
    if (const auto* again = std::get_if<start_step>(&f.body)) {
      auto known = s.steps.find(again->key);
      if (known != s.steps.end() && known->second.run_attempt == s.attempt
          && known->second.at <= step_phase::retrying)
        return outcome{{}, {acknowledge{f.id}}, {}}; // Its answer is given, or will be.
      auto repeated = on_frame(s, c, frame{f.attempt, {}, {}}, *again);
      if (repeated)
        repeated->effects.insert(repeated->effects.begin(), acknowledge{f.id});
      return repeated;
    }
    return outcome{{}, {acknowledge{f.id}}, {}};
  }
  auto decided = std::visit([&](const auto& body) { return on_frame(s, c, f, body); }, f.body);
  if (decided && !f.id.empty())
    decided->effects.insert(decided->effects.begin(), acknowledge{f.id});
  return decided;
}

decision on(const state& s, const command& c, const end_attempt& ask) {
  if (terminal(s.at))
    return outcome{};
  if (s.at != phase::running || ask.attempt != s.attempt)
    return refusal{rejection::stale_attempt, {}};
  return after_failed_attempt(s, c, ask);
}

decision on(const state& s, const command&, const refuse& ask) {
  if (terminal(s.at))
    return outcome{{}, {announce_end{}}, {}};
  failed fact{{}, 0, s.attempt, ask.error, {}};
  if (s.at == phase::absent) {
    fact.session = ask.session;
    fact.turn = ask.turn;
  }
  return outcome{{std::move(fact)}, {announce_end{}}, {}};
}

decision on(const state& s, const command& c, const cancel& ask) {
  if (terminal(s.at))
    return outcome{{}, {announce_end{}}, {}};
  if (s.at == phase::absent)
    return outcome{{cancelled{ask.session, ask.turn, 0, ask.reason}}, {announce_end{}}, {}};
  if (s.at == phase::backing_off)
    return outcome{{cancelled{{}, 0, s.attempt, ask.reason}}, {announce_end{}}, {}};
  if (s.cancel_due)
    return outcome{};
  return outcome{
      {cancel_requested{ask.reason, c.now + milliseconds{s.drain_ms}}}, {drain{s.drain_ms}}, {}};
}

/// A step ran longer than it may: that counts against the step, and its harness is ended.
outcome time_out_step(const state& s, const command& c, const std::string& key, const step& late) {
  failure error{"step_timeout", "Step \"" + key + "\" did not end within its "
                                    + std::to_string(late.timeout_ms.value_or(0)) + " ms."};
  outcome out;
  std::int64_t delay = 0;
  auto failures = late.failures + 1;
  if (failures >= s.retry.max_attempts) {
    out.facts.emplace_back(step_failed{key, late.attempt, error, {}});
  } else {
    delay = backoff_ms(s.retry, failures, c.random);
    out.facts.emplace_back(step_retrying{
        key, late.attempt, error, late.attempt + 1, delay, c.now + milliseconds{delay}, {}});
  }
  out.facts.emplace_back(attempt_failed{s.attempt, std::move(error), false, s.attempt + 1, delay,
                                        c.now + milliseconds{delay}});
  out.effects = {stop{}, requeue{}};
  return out;
}

decision on(const state& s, const command& c, const fire_timers&) {
  if (!open(s))
    return outcome{};
  auto due = [&](const std::optional<timestamp>& t) { return t && *t <= c.now; };
  if (due(s.cancel_due))
    return outcome{{end_of_cancelled(s)}, {stop{}, announce_end{}}, {}};
  if (due(s.timeout_due) && !s.cancel_due) {
    auto text = "The run did not end within its " + std::to_string(s.limits.timeout_ms.value_or(0))
                + " ms.";
    return outcome{{failed{{}, 0, s.attempt, {"timeout", text}, {}}}, {stop{}, announce_end{}}, {}};
  }
  if (s.at == phase::backing_off)
    return due(s.backoff_due) ? outcome{{}, {requeue{}}, {}} : outcome{};
  outcome out;
  for (const auto& [key, one] : s.steps) {
    if (one.run_attempt != s.attempt || !due(one.due))
      continue;
    if (one.at == step_phase::running && !s.cancel_due)
      return time_out_step(s, c, key, one);
    if (one.at != step_phase::retrying || s.cancel_due)
      continue;
    std::optional<timestamp> timeout;
    if (one.timeout_ms)
      timeout = c.now + milliseconds{*one.timeout_ms};
    out.facts.emplace_back(
        step_started{key, one.title, one.kind, one.attempt + 1, timeout, {}, {}});
    out.effects.emplace_back(go{key, one.attempt + 1});
  }
  return out;
}

void end(state& s, phase how, timestamp at) {
  s.at = how;
  s.finished_at = at;
  s.timeout_due = s.backoff_due = s.cancel_due = std::nullopt;
}

void remember(state& s, const std::string& frame) {
  if (!frame.empty())
    s.frames.insert(frame);
}

struct applier {
  state& s;
  timestamp at;

  void operator()(const started& e) {
    s.at = phase::running;
    s.session = e.session;
    s.turn = e.turn;
    s.agent = e.agent;
    s.agent_version = e.agent_version;
    s.limits = e.limits;
    s.retry = e.retry;
    s.drain_ms = e.drain_ms;
    s.worker = e.worker;
    s.attempt = 1;
    s.started_at = at;
    if (e.limits.timeout_ms)
      s.timeout_due = at + milliseconds{*e.limits.timeout_ms};
    for (const auto& taken : e.inherited) {
      auto& one = s.steps[taken.key];
      one.at = taken.gave_up ? step_phase::gave_up : step_phase::done;
      one.source = outcome_source{taken.run, taken.seq};
    }
  }
  void operator()(const attempt_started& e) {
    s.at = phase::running;
    s.attempt = e.attempt;
    s.worker = e.worker;
    s.backoff_due.reset();
  }
  void operator()(const attempt_failed& e) {
    s.at = phase::backing_off;
    s.failures += e.counted ? 1 : 0;
    s.losses = e.counted ? 0 : s.losses + 1;
    s.backoff_due = e.due;
    s.error = e.error;
  }
  void operator()(const step_started& e) {
    auto& one = s.steps[e.key];
    one.at = step_phase::running;
    one.run_attempt = s.attempt;
    one.attempt = e.attempt;
    one.started_at = at;
    one.due = e.timeout_due;
    if (e.timeout_due)
      one.timeout_ms = (*e.timeout_due - at).count();
    else
      one.timeout_ms.reset();
    one.title = e.title;
    one.kind = e.kind;
    remember(s, e.frame);
  }
  void operator()(const step_completed& e) {
    auto& one = s.steps[e.key];
    one.at = step_phase::done;
    one.output = e.output;
    one.due.reset();
    ++s.steps_completed;
    s.losses = 0;
    remember(s, e.frame);
  }
  void operator()(const step_retrying& e) {
    auto& one = s.steps[e.key];
    one.at = step_phase::retrying;
    ++one.failures;
    one.error = e.error;
    one.due = e.due;
    remember(s, e.frame);
  }
  void operator()(const step_failed& e) {
    auto& one = s.steps[e.key];
    one.at = step_phase::gave_up;
    ++one.failures;
    one.error = e.error;
    one.due.reset();
    remember(s, e.frame);
  }
  void operator()(const usage_reported& e) {
    s.tokens_in += e.tokens_in;
    s.tokens_out += e.tokens_out;
    s.cost += e.cost_micro_usd;
    if (planted(bug::usage_counted_twice))
      s.cost += e.cost_micro_usd;
    remember(s, e.frame);
  }
  void operator()(const artifact_published& e) {
    ++s.artifact_count;
    remember(s, e.frame);
  }
  void operator()(const message_emitted& e) { remember(s, e.frame); }
  void operator()(const tool_called& e) { remember(s, e.frame); }
  void operator()(const tool_returned& e) { remember(s, e.frame); }
  void operator()(const checkpoint_saved& e) { remember(s, e.frame); }
  void operator()(const logged& e) { remember(s, e.frame); }
  void operator()(const cancel_requested& e) {
    s.cancel_reason = e.reason;
    s.cancel_due = e.due;
  }
  void operator()(const succeeded& e) {
    end(s, phase::succeeded, at);
    s.result = e.result;
    s.error = {};
    remember(s, e.frame);
  }
  void operator()(const failed& e) {
    adopt(e.session, e.turn);
    end(s, phase::failed, at);
    s.error = e.error;
    remember(s, e.frame);
  }
  void operator()(const cancelled& e) {
    adopt(e.session, e.turn);
    end(s, phase::cancelled, at);
    s.cancel_reason = e.reason;
    s.error = {};
  }
  void adopt(const session_id& session, std::int64_t turn) {
    if (s.at != phase::absent)
      return;
    s.session = session;
    s.turn = turn;
  }
};

} // namespace

std::string_view to_string(phase p) {
  switch (p) {
    case phase::absent:
      return "pending";
    case phase::running:
    case phase::backing_off:
      return "running";
    case phase::succeeded:
      return "succeeded";
    case phase::failed:
      return "failed";
    case phase::cancelled:
      return "cancelled";
  }
  return "pending";
}

bool open(const state& s) {
  return s.at == phase::running || s.at == phase::backing_off;
}

std::optional<std::int64_t> due_ms(const state& s) {
  if (!open(s))
    return std::nullopt;
  std::optional<timestamp> next;
  auto consider = [&](const std::optional<timestamp>& t) {
    if (t && (!next || *t < *next))
      next = t;
  };
  consider(s.cancel_due);
  if (!s.cancel_due)
    consider(s.timeout_due);
  if (s.at == phase::backing_off)
    consider(s.backoff_due);
  else if (!s.cancel_due && !planted(bug::timer_lost))
    for (const auto& [key, one] : s.steps)
      if (one.run_attempt == s.attempt)
        consider(one.due);
  if (!next)
    return std::nullopt;
  return to_ms(*next);
}

decision decide(const state& now, const command& asked) {
  return std::visit([&](const auto& body) { return on(now, asked, body); }, asked.body);
}

state evolve(state before, const event& fact, timestamp at) {
  std::visit(applier{before, at}, fact);
  return before;
}

bool fits(const state& now, const event& fact) {
  if (terminal(now.at))
    return false;
  bool begins = std::holds_alternative<started>(fact);
  if (now.at == phase::absent)
    return begins || std::holds_alternative<failed>(fact)
           || std::holds_alternative<cancelled>(fact);
  return !begins;
}

std::vector<effect> recover(const state& now) {
  if (terminal(now.at))
    return {announce_end{}};
  if (now.at == phase::backing_off)
    return {requeue{}};
  return {};
}

} // namespace runledger::run
