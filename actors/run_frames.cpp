#include "actors/run_frames.hpp"

#include "events/json_writer.hpp"

#include <algorithm>

namespace runledger {

namespace {

payload json_payload(std::string json) {
  return payload{std::move(json), {}};
}

} // namespace

std::optional<run::frame_body> body_of(const harness::frame& f) {
  using type = harness::frame_type;
  switch (f.type) {
    case type::step_start:
      return run::start_step{f.key, f.name, f.kind, f.timeout_ms, f.max_cost};
    case type::step_done:
      return run::finish_step{f.key, json_payload(f.payload)};
    case type::step_fail:
      return run::fail_step{
          f.key, {f.code.empty() ? "step_failed" : f.code, f.message}, f.retryable};
    case type::message:
      return run::note{run::message_emitted{f.role, json_payload(f.payload), {}}};
    case type::tool_call:
      return run::note{run::tool_called{f.key, f.tool, json_payload(f.payload), {}}};
    case type::tool_result:
      return run::note{run::tool_returned{
          f.key, f.tool, json_payload(f.payload), json_payload(f.error_json), {}}};
    case type::checkpoint:
      return run::note{run::checkpoint_saved{json_payload(f.payload), {}}};
    case type::usage:
      return run::note{
          run::usage_reported{f.tokens_in, f.tokens_out, f.cost, f.model, f.category, f.key, {}}};
    case type::log:
      return run::note{run::logged{f.level, f.message, json_payload(f.payload), {}}};
    case type::result:
      return run::succeed{json_payload(f.payload)};
    case type::error:
      return run::fail{{f.code.empty() ? "agent_error" : f.code, f.message}, f.retryable};
    default:
      return std::nullopt;
  }
}

std::string limits_json(const run_limits& limits) {
  std::string out;
  json_writer json{out};
  json.begin_object();
  if (limits.max_cost_micro_usd)
    json.raw_member("max_cost_usd", to_usd(*limits.max_cost_micro_usd));
  if (limits.max_steps)
    json.member("max_steps", *limits.max_steps);
  if (limits.timeout_ms) {
    auto ms = *limits.timeout_ms;
    json.raw_member("timeout_seconds",
                    ms % 1000 == 0 ? std::to_string(ms / 1000) : to_usd(micro_usd{ms * 1000}));
  }
  json.end_object();
  return out;
}

std::string error_json(const failure& why) {
  std::string out;
  json_writer{out}
      .begin_object()
      .member("code", why.code)
      .member("message", why.message)
      .end_object();
  return out;
}

std::string lines_said_again(const run_id& run, const run::state& s, timestamp now) {
  std::string out;
  for (const auto& [key, step] : s.steps) {
    if (step.run_attempt != s.attempt)
      continue;
    if (step.at == run::step_phase::running && !s.cancel_due)
      out += harness::step_go_line(run.value, key, static_cast<std::uint32_t>(step.attempt));
    else if (step.at == run::step_phase::gave_up)
      out += harness::step_give_up_line(run.value, key, error_json(step.error));
  }
  if (s.cancel_due)
    out += harness::cancel_line(run.value,
                                std::max<std::int64_t>(0, to_ms(*s.cancel_due) - to_ms(now)));
  return out;
}

} // namespace runledger
