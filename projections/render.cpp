#include "projections/render.hpp"

#include "events/agent.hpp"
#include "events/catalog_entry.hpp"
#include "events/json_writer.hpp"

namespace runledger::views {

namespace {

void text_or_null(json_writer& out, std::string_view name, const std::string& text) {
  if (text.empty())
    out.null_member(name);
  else
    out.member(name, text);
}

void json_or_null(json_writer& out, std::string_view name, const std::string& json) {
  out.raw_member(name, json.empty() ? std::string_view{"null"} : std::string_view{json});
}

void time_or_null(json_writer& out, std::string_view name, const std::optional<timestamp>& t) {
  if (t)
    out.member(name, to_rfc3339(*t));
  else
    out.null_member(name);
}

void error_or_null(json_writer& out, const run_row& row) {
  if (row.phase != run::phase::failed) {
    out.null_member("error");
    return;
  }
  out.key("error").begin_object();
  out.member("code", row.error.code).member("message", row.error.message).end_object();
}

/// Milliseconds as seconds: a JSON number with at most three decimals.
std::string seconds_of(std::int64_t ms) {
  auto out = std::to_string(ms / 1000);
  if (auto rest = ms % 1000; rest != 0) {
    auto digits = std::to_string(1000 + rest).substr(1);
    out += '.' + digits.substr(0, digits.find_last_not_of('0') + 1);
  }
  return out;
}

void numbers(json_writer& out, const analytics_numbers& n) {
  out.member("runs", n.runs)
      .member("succeeded", n.succeeded)
      .member("failed", n.failed)
      .member("cancelled", n.cancelled)
      .raw_member("cost_usd", to_usd(n.cost))
      .member("tokens_in", n.tokens_in)
      .member("tokens_out", n.tokens_out)
      .raw_member("duration_seconds", seconds_of(n.duration_ms));
  time_or_null(out, "last_run_at", n.last_run_at);
}

} // namespace

void append_run_json(std::string& text, const run_row& row) {
  json_writer out{text};
  out.begin_object()
      .member("id", row.id.value)
      .member("run_id", row.id.value)
      .member("session_id", row.session.value)
      .member("status", status_of(row))
      .member("kind", row.kind)
      .member("trigger", row.trigger)
      .member("agent_id", row.agent.value)
      .member("agent_version", row.agent_version);
  json_or_null(out, "prompt", row.prompt);
  json_or_null(out, "initial_state", row.initial_state);
  json_or_null(out, "result", row.result);
  error_or_null(out, row);
  out.raw_member("cost_usd", to_usd(row.cost))
      .member("tokens_in", row.tokens_in)
      .member("tokens_out", row.tokens_out)
      .member("attempt", row.attempt)
      .member("steps_completed", row.steps_completed)
      .member("artifact_count", row.artifact_count);
  text_or_null(out, "parent_run_id", row.parent_run.value);
  out.member("created_at", to_rfc3339(row.created_at));
  time_or_null(out, "started_at", row.started_at);
  time_or_null(out, "finished_at", row.finished_at);
  out.end_object();
}

void append_session_json(std::string& text, const session_row& row,
                         std::span<const session_run> runs, const accepted_message* message) {
  json_writer out{text};
  out.begin_object()
      .member("id", row.id.value)
      .member("agent_id", row.agent.value)
      .member("agent_version", row.agent_version)
      .member("status", session::to_string(row.phase));
  out.key("runs").begin_array();
  for (const auto& r : runs) {
    out.begin_object()
        .member("id", r.id.value)
        .member("run_id", r.id.value)
        .member("status", run::to_string(r.phase))
        .member("created_at", to_rfc3339(r.created_at));
    time_or_null(out, "finished_at", r.finished_at);
    out.end_object();
  }
  out.end_array();
  out.member("created_at", to_rfc3339(row.created_at))
      .member("last_activity_at", to_rfc3339(row.last_activity_at));
  time_or_null(out, "terminated_at", row.terminated_at);
  if (message != nullptr) {
    out.member("run_id", message->run.value);
    out.key("events").begin_array().raw(message->event_json).end_array();
  }
  out.end_object();
}

void append_agent_json(std::string& text, const agent_row& row,
                       const std::vector<version_row>* versions) {
  json_writer out{text};
  out.begin_object().member("id", row.id.value).member("slug", row.slug).member("name", row.name);
  text_or_null(out, "description", row.description);
  if (row.active_version == 0)
    out.null_member("active_version");
  else
    out.member("active_version", row.active_version);
  if (versions != nullptr) {
    out.key("versions").begin_array();
    for (const auto& v : *versions)
      out.begin_object()
          .member("version", v.version)
          .member("status", v.status)
          .member("created_at", to_rfc3339(v.created_at))
          .end_object();
    out.end_array();
  }
  out.member("created_at", to_rfc3339(row.created_at))
      .member("updated_at", to_rfc3339(row.updated_at))
      .end_object();
}

void append_version_json(std::string& text, const version_row& row) {
  json_writer out{text};
  out.begin_object()
      .member("agent_id", row.agent.value)
      .member("version", row.version)
      .member("status", row.status);
  json_or_null(out, "recipe", row.recipe);
  out.member("created_at", to_rfc3339(row.created_at)).end_object();
}

void append_artifact_json(std::string& text, const artifact_row& row) {
  json_writer out{text};
  out.begin_object()
      .member("id", row.id.value)
      .member("run_id", row.run.value)
      .member("name", row.name)
      .member("media_type", row.media_type)
      .member("size", row.size_bytes)
      .member("digest", "sha256:" + to_hex(row.content))
      .member("created_at", to_rfc3339(row.created_at))
      .end_object();
}

void append_worker_json(std::string& text, const worker_row& row) {
  json_writer out{text};
  out.begin_object()
      .member("id", row.id.value)
      .member("status", row.gone                     ? "gone"
                        : row.busy || row.leases > 0 ? "busy"
                                                     : "idle");
  if (row.queue.empty()) {
    out.member("node", row.node).member("slot", row.slot);
    for (const auto* name : {"queue", "name", "slots", "leases"})
      out.null_member(name);
  } else {
    out.null_member("node").null_member("slot").member("queue", row.queue);
    out.member("name", row.name).member("slots", row.slots).member("leases", row.leases);
  }
  text_or_null(out, "agent_id", row.agent.value);
  if (row.agent.empty())
    out.null_member("agent_version");
  else
    out.member("agent_version", row.agent_version);
  out.raw_member("layers", row.layers.empty() ? std::string_view{"[]"} : row.layers);
  text_or_null(out, "last_reason", row.last_reason);
  out.member("registered_at", to_rfc3339(row.registered_at))
      .member("changed_at", to_rfc3339(row.changed_at))
      .end_object();
}

void append_key_json(std::string& text, const key_row& row, const std::string* secret) {
  json_writer out{text};
  out.begin_object().member("id", row.id.value).member("name", row.name);
  out.member("workspace", row.workspace.value).key("scopes").begin_array();
  for (const auto& scope : key::scope_names(row.scopes))
    out.value(scope);
  out.end_array().member("created_at", to_rfc3339(row.created_at));
  time_or_null(out, "expires_at", row.expires_at);
  if (secret != nullptr)
    text_or_null(out, "key", *secret);
  out.end_object();
}

void append_workspace_json(std::string& text, const workspace_row& row) {
  json_writer out{text};
  out.begin_object()
      .member("id", row.id.value)
      .member("name", row.name)
      .member("created_at", to_rfc3339(row.created_at))
      .end_object();
}

void append_analytics_json(std::string& text, const analytics& answer) {
  json_writer out{text};
  out.begin_object()
      .member("start", to_rfc3339(answer.start))
      .member("end", to_rfc3339(answer.end))
      .key("agents")
      .begin_array();
  for (const auto& row : answer.agents) {
    out.begin_object().member("agent_id", row.agent.value).member("agent_slug", row.agent_slug);
    numbers(out, row.numbers);
    out.end_object();
  }
  out.end_array().key("total").begin_object();
  numbers(out, answer.total);
  out.end_object().end_object();
}

void append_explanation_json(std::string& text, const explanation& answer) {
  json_writer out{text};
  out.begin_object()
      .member("run_id", answer.run.value)
      .member("status", answer.status)
      .member("reason", answer.reason)
      .member("summary", answer.summary)
      .member("event_id", answer.event_id);
  if (answer.until)
    out.member("until", to_rfc3339(*answer.until));
  out.end_object();
}

void append_projection_json(std::string& text, const projection_status& one) {
  json_writer out{text};
  out.begin_object()
      .member("name", one.name)
      .member("position", one.position)
      .member("lag", one.lag)
      .member("state", one.state)
      .key("parked")
      .begin_array();
  for (const auto& p : one.parked)
    out.begin_object()
        .member("entity", p.entity)
        .member("stream", p.stream.value)
        .member("seq", p.seq)
        .member("offset", offset_of(p.at))
        .member("reason", p.reason)
        .end_object();
  out.end_array();
  if (one.rebuild) {
    out.key("rebuild").begin_object();
    if (one.rebuild->under_way)
      out.member("done", one.rebuild->done).member("total", one.rebuild->total);
    else
      out.member("failure", one.rebuild->failure);
    out.end_object();
  }
  out.end_object();
}

} // namespace runledger::views
