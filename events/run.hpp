#pragma once

#include "events/fields.hpp"
#include "events/frame_ids.hpp"
#include "events/recipe.hpp"
#include "events/result.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

/// The RUN: one execution of an agent against an input. Stream `run_...`, partition key: its
/// session.
namespace runledger::run {

// Facts. Stored forever: add members with defaults, never rename, never reuse a name.

/// A step of another run whose outcome a forked run takes over: it stands in that run's event.
struct inherited_step {
  std::string key;
  run_id run;            ///< Who executed it.
  std::uint64_t seq = 0; ///< There, of its run.step_completed or run.step_failed.
  bool gave_up = false;  ///< It failed for good.
  friend bool operator==(const inherited_step&, const inherited_step&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("run_id", f.run);
    v("seq", f.seq);
    v("gave_up", f.gave_up);
  }
};

/// The first attempt begins (seq 1 of a run that got as far).
struct started {
  static constexpr std::string_view name = "run.started";
  session_id session;
  std::int64_t turn = 1;
  agent_id agent;
  std::int64_t agent_version = 0;
  run_limits limits;
  retry_policy retry;
  std::int64_t drain_ms = 30'000;
  worker_id worker;
  std::vector<inherited_step> inherited; ///< Of a forked run: what is done already, in order.
  friend bool operator==(const started&, const started&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("session_id", f.session);
    v("turn", f.turn);
    v("agent_id", f.agent);
    v("agent_version", f.agent_version);
    v("limits", f.limits);
    v("retry", f.retry);
    v("drain_ms", f.drain_ms);
    v("worker_id", f.worker);
    v("inherited", f.inherited);
  }
};

/// A later attempt begins.
struct attempt_started {
  static constexpr std::string_view name = "run.attempt_started";
  std::int64_t attempt = 0;
  worker_id worker;
  friend bool operator==(const attempt_started&, const attempt_started&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("attempt", f.attempt);
    v("worker_id", f.worker);
  }
};

/// An attempt ended without an end of the run; the next one begins after the delay.
struct attempt_failed {
  static constexpr std::string_view name = "run.attempt_failed";
  std::int64_t attempt = 0;
  failure error;
  bool counted = false; ///< Against max_attempts: not when the server or a shared process ended.
  std::int64_t next_attempt = 0, delay_ms = 0;
  timestamp due{}; ///< When the next attempt may begin.
  friend bool operator==(const attempt_failed&, const attempt_failed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("attempt", f.attempt);
    v("error", f.error);
    v("counted", f.counted);
    v("next_attempt", f.next_attempt);
    v("delay_ms", f.delay_ms);
    v("due", f.due);
  }
};

struct step_started {
  static constexpr std::string_view name = "run.step_started";
  std::string key, title, kind;
  std::int64_t attempt = 0; ///< Executions of this step in all attempts of the run, from 1.
  std::optional<timestamp> timeout_due;
  std::optional<micro_usd> max_cost_micro_usd;
  std::string frame;
  friend bool operator==(const step_started&, const step_started&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("name", f.title);
    v("kind", f.kind);
    v("attempt", f.attempt);
    v("timeout_due", f.timeout_due);
    v("max_cost_micro_usd", f.max_cost_micro_usd);
    v("frame_id", f.frame);
  }
};

struct step_completed {
  static constexpr std::string_view name = "run.step_completed";
  std::string key;
  std::int64_t attempt = 0, duration_ms = 0;
  payload output;
  std::string frame;
  friend bool operator==(const step_completed&, const step_completed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("attempt", f.attempt);
    v("duration_ms", f.duration_ms);
    v("output", f.output);
    v("frame_id", f.frame);
  }
};

struct step_retrying {
  static constexpr std::string_view name = "run.step_retrying";
  std::string key;
  std::int64_t attempt = 0;
  failure error;
  std::int64_t next_attempt = 0, delay_ms = 0;
  timestamp due{};
  std::string frame;
  friend bool operator==(const step_retrying&, const step_retrying&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("attempt", f.attempt);
    v("error", f.error);
    v("next_attempt", f.next_attempt);
    v("delay_ms", f.delay_ms);
    v("due", f.due);
    v("frame_id", f.frame);
  }
};

/// The retries of a step are used up, or the failure was final.
struct step_failed {
  static constexpr std::string_view name = "run.step_failed";
  std::string key;
  std::int64_t attempt = 0;
  failure error;
  std::string frame;
  friend bool operator==(const step_failed&, const step_failed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("attempt", f.attempt);
    v("error", f.error);
    v("frame_id", f.frame);
  }
};

struct message_emitted {
  static constexpr std::string_view name = "run.message_emitted";
  std::string role;
  payload content;
  std::string frame;
  friend bool operator==(const message_emitted&, const message_emitted&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("role", f.role);
    v("content", f.content);
    v("frame_id", f.frame);
  }
};

struct tool_called {
  static constexpr std::string_view name = "run.tool_called";
  std::string key, tool;
  payload args;
  std::string frame;
  friend bool operator==(const tool_called&, const tool_called&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("tool", f.tool);
    v("args", f.args);
    v("frame_id", f.frame);
  }
};

struct tool_returned {
  static constexpr std::string_view name = "run.tool_returned";
  std::string key, tool;
  payload output;
  payload error; ///< Instead of output.
  std::string frame;
  friend bool operator==(const tool_returned&, const tool_returned&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("key", f.key);
    v("tool", f.tool);
    v("output", f.output);
    v("error", f.error);
    v("frame_id", f.frame);
  }
};

struct checkpoint_saved {
  static constexpr std::string_view name = "run.checkpoint_saved";
  payload state;
  std::string frame;
  friend bool operator==(const checkpoint_saved&, const checkpoint_saved&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("state", f.state);
    v("frame_id", f.frame);
  }
};

/// What was spent since the last report.
struct usage_reported {
  static constexpr std::string_view name = "run.usage_reported";
  std::int64_t tokens_in = 0, tokens_out = 0;
  micro_usd cost_micro_usd{0};
  std::string model, category, key;
  std::string frame;
  friend bool operator==(const usage_reported&, const usage_reported&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("tokens_in", f.tokens_in);
    v("tokens_out", f.tokens_out);
    v("cost_micro_usd", f.cost_micro_usd);
    v("model", f.model);
    v("category", f.category);
    v("key", f.key);
    v("frame_id", f.frame);
  }
};

struct logged {
  static constexpr std::string_view name = "run.logged";
  std::string level, message;
  payload details;
  std::string frame;
  friend bool operator==(const logged&, const logged&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("level", f.level);
    v("message", f.message);
    v("fields", f.details);
    v("frame_id", f.frame);
  }
};

struct artifact_published {
  static constexpr std::string_view name = "run.artifact_published";
  artifact_id artifact;
  std::string title, media_type;
  std::int64_t size_bytes = 0;
  digest content;
  std::string frame;
  friend bool operator==(const artifact_published&, const artifact_published&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("artifact_id", f.artifact);
    v("name", f.title);
    v("media_type", f.media_type);
    v("size_bytes", f.size_bytes);
    v("digest", f.content);
    v("frame_id", f.frame);
  }
};

/// No new step; what is in flight may finish until the deadline.
struct cancel_requested {
  static constexpr std::string_view name = "run.cancel_requested";
  std::string reason;
  timestamp due{};
  friend bool operator==(const cancel_requested&, const cancel_requested&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("reason", f.reason);
    v("due", f.due);
  }
};

struct succeeded {
  static constexpr std::string_view name = "run.succeeded";
  std::int64_t attempt = 0;
  payload result;
  std::string frame;
  friend bool operator==(const succeeded&, const succeeded&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("attempt", f.attempt);
    v("result", f.result);
    v("frame_id", f.frame);
  }
};

/// The agent raised an error, or a limit was crossed (code `timeout`, `cost_limit_exceeded`, ...).
/// At seq 1 for a run that could not begin; then session and turn are set.
struct failed {
  static constexpr std::string_view name = "run.failed";
  session_id session;
  std::int64_t turn = 0;
  std::int64_t attempt = 0;
  failure error;
  std::string frame;
  friend bool operator==(const failed&, const failed&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("session_id", f.session);
    v("turn", f.turn);
    v("attempt", f.attempt);
    v("error", f.error);
    v("frame_id", f.frame);
  }
};

/// At seq 1 for a run that never began; then session and turn are set.
struct cancelled {
  static constexpr std::string_view name = "run.cancelled";
  session_id session;
  std::int64_t turn = 0;
  std::int64_t attempt = 0;
  std::string reason;
  friend bool operator==(const cancelled&, const cancelled&) = default;
  template <class Fact, class Visit>
  static void fields(Fact& f, Visit&& v) {
    v("session_id", f.session);
    v("turn", f.turn);
    v("attempt", f.attempt);
    v("reason", f.reason);
  }
};

using event = std::variant<started, attempt_started, attempt_failed, step_started, step_completed,
                           step_retrying, step_failed, message_emitted, tool_called, tool_returned,
                           checkpoint_saved, usage_reported, logged, artifact_published,
                           cancel_requested, succeeded, failed, cancelled>;

// State: a fold over the facts and nothing else.

enum class phase : std::uint8_t { absent, running, backing_off, succeeded, failed, cancelled };
constexpr bool terminal(phase p) {
  return p >= phase::succeeded;
}
std::string_view
to_string(phase p); ///< The dialect's word: `pending, running, succeeded, failed, cancelled`.

enum class step_phase : std::uint8_t { running, retrying, done, gave_up };

/// The event of another run that holds a step's outcome.
struct outcome_source {
  run_id run;
  std::uint64_t seq = 0;
  friend bool operator==(const outcome_source&, const outcome_source&) = default;
};

struct step {
  step_phase at = step_phase::running;
  std::int64_t run_attempt = 0; ///< The run's attempt in which it was last started.
  std::int64_t attempt = 0;     ///< Executions so far.
  std::int64_t failures = 0;    ///< What counts against the retry policy.
  timestamp started_at{};
  std::optional<timestamp> due; ///< running: its timeout; retrying: the next execution.
  std::optional<std::int64_t> timeout_ms;
  std::string title, kind;
  payload output;
  failure error;
  std::optional<outcome_source> source; ///< Set: output or error stand there instead.
  friend bool operator==(const step&, const step&) = default;
};

struct state {
  phase at = phase::absent;
  session_id session;
  std::int64_t turn = 0;
  agent_id agent;
  std::int64_t agent_version = 0;
  run_limits limits;
  retry_policy retry;
  std::int64_t drain_ms = 30'000;
  worker_id worker;
  std::int64_t attempt = 0;
  std::int64_t failures = 0; ///< Attempts that count.
  std::int64_t losses = 0;   ///< Those that do not, one after the other and without a step done.
  std::map<std::string, step, std::less<>> steps;
  frame_ids frames; ///< That took effect.
  std::int64_t steps_completed = 0, tokens_in = 0, tokens_out = 0, artifact_count = 0;
  micro_usd cost{0};
  std::optional<timestamp> started_at, finished_at;
  std::optional<timestamp> timeout_due, backoff_due, cancel_due;
  std::string cancel_reason; ///< With cancel_due.
  payload result;
  failure error;
  friend bool operator==(const state&, const state&) = default;
};

/// Unfinished work: begun and not ended.
bool open(const state& s);
/// The next timer, if any.
std::optional<std::int64_t> due_ms(const state& s);

// Requests.

/// A worker is free for this run: begin an attempt.
struct start {
  session_id session;
  std::int64_t turn = 0;
  agent_id agent;
  std::int64_t agent_version = 0;
  run_limits limits;
  retry_policy retry;
  std::int64_t drain_ms = 30'000;
  worker_id worker;
  std::vector<inherited_step> inherited; ///< Counts for the first attempt.
};
/// What a harness says in attempt `attempt`; the payloads are as in the frame
/// (docs/harness-protocol.md).
struct start_step {
  std::string key, title, kind;
  std::optional<std::int64_t> timeout_ms;
  std::optional<micro_usd> max_cost;
};
struct finish_step {
  std::string key;
  payload output;
};
struct fail_step {
  std::string key;
  failure error;
  bool retryable = true;
};
struct note { ///< A frame that only adds a fact: message, tool call, checkpoint, usage, log,
              ///< artifact.
  std::variant<message_emitted, tool_called, tool_returned, checkpoint_saved, usage_reported,
               logged, artifact_published>
      fact;
};
struct succeed {
  payload output;
};
struct fail {
  failure error;
  bool retryable = false;
};
using frame_body = std::variant<start_step, finish_step, fail_step, note, succeed, fail>;
struct frame {
  std::int64_t attempt = 0; ///< Frames of an older attempt are dropped.
  std::string id;           ///< Empty: not acknowledged.
  frame_body body;
};
/// The attempt's process is gone, or is to be ended for what it did.
struct end_attempt {
  std::int64_t attempt = 0;
  failure error;
  bool counted = true;
  bool final = false; ///< No further attempt can help (secret_missing, sandbox_refused).
};
/// Fails a run that cannot begin (its recipe is unreadable, a secret is missing).
struct refuse {
  session_id session;
  std::int64_t turn = 0;
  failure error;
};
struct cancel {
  session_id session; ///< For a run that never began.
  std::int64_t turn = 0;
  std::string reason;
};
struct fire_timers {};
using command_body = std::variant<start, frame, end_attempt, refuse, cancel, fire_timers>;
struct command {
  timestamp now{};
  std::uint64_t random = 0; ///< For jitter.
  command_body body;
};

enum class rejection : std::uint8_t {
  already_ended = 1, ///< Terminal runs are immutable.
  not_waiting,       ///< start: an attempt is under way, or it is too early.
  stale_attempt,     ///< The frame is of an attempt that is over.
  protocol_error,    ///< The harness broke the protocol: the attempt is to be ended.
};

// Effects: what the actor does once the facts are durable. Replay has none.

/// One line to the harness.
struct go {
  std::string key;
  std::int64_t attempt = 0;
};
struct give_cached {
  std::string key;
  payload output;
  std::optional<outcome_source> source; ///< Set: the output is there.
};
struct give_up {
  std::string key;
  failure error;
  std::optional<outcome_source> source; ///< Set: the error is there.
};
struct acknowledge {
  std::string id;
};
struct launch {}; ///< Start the harness of the attempt that just began.
struct drain {    ///< Ask the harness to finish.
  std::int64_t drain_ms = 0;
};
/// End the harness's work on this run. `clean`: it has said itself that it is done.
struct stop {
  bool clean = false;
};
struct announce_end {}; ///< Tell the session; again after a restart.
struct requeue {};      ///< Ask for a worker when the back-off is over.
using effect =
    std::variant<go, give_cached, give_up, acknowledge, launch, drain, stop, announce_end, requeue>;

struct outcome {
  std::vector<event> facts;
  std::vector<effect> effects;
  std::string complaint; ///< With rejection protocol_error: what to tell.
};
struct refusal {
  rejection why;
  std::string detail;
};
using decision = runledger::result<outcome, refusal>;

[[nodiscard]] decision decide(const state& now, const command& asked); // May refuse. Never mutates.
[[nodiscard]] state evolve(state before, const event& fact, timestamp at); // May not refuse.
/// True if evolve may be given this fact: a stored fact that does not fit its state is damage, not
/// a bug of ours.
bool fits(const state& now, const event& fact);

/// What a freshly rebuilt run must do, as its state says.
std::vector<effect> recover(const state& now);

} // namespace runledger::run
