#include "cli/objects.hpp"

#include "cli/output.hpp"

#include <fmt/format.h>

namespace runledger::cli {

std::string run_text(const json::value& run, timestamp now, bool colour) {
  const auto status = cell(run, "status");
  auto out = fmt::format("{}  {}\n", cell(run, "id"), painted(status, status, colour));
  const auto line = [&](std::string_view name, const std::string& text) {
    if (text != "-" && text != "0")
      out += fmt::format("  {:<9} {}\n", name, text);
  };
  line("agent", fmt::format("{}, version {}", cell(run, "agent_id"), cell(run, "agent_version")));
  line("session", cell(run, "session_id"));
  line("created", relative_cell(run, "created_at", now));
  line("took", duration_cell(run, "started_at", "finished_at"));
  line("attempt", cell(run, "attempt"));
  line("steps", cell(run, "steps_completed"));
  line("tokens", fmt::format("{} in, {} out", cell(run, "tokens_in"), cell(run, "tokens_out")));
  line("cost", "$" + cell(run, "cost_usd"));
  line("artifacts", cell(run, "artifact_count"));
  if (const auto error = run.find("error"); error && error->is_object())
    line("error", fmt::format("{}: {}", cell(*error, "code"), cell(*error, "message")));
  if (const auto result = run.find("result"); result && !result->is_null())
    out += fmt::format("  result\n{}\n",
                       result->is_string() ? printable(result->string(), true) : pretty(*result));
  return out;
}

std::string session_text(const json::value& session, timestamp now, bool colour) {
  const auto status = cell(session, "status");
  auto out =
      fmt::format("{}  {}\n  agent          {}, version {}\n  created        {}\n"
                  "  last activity  {}\n\n",
                  cell(session, "id"), painted(status, status, colour), cell(session, "agent_id"),
                  cell(session, "agent_version"), relative_cell(session, "created_at", now),
                  relative_cell(session, "last_activity_at", now));
  table rows{{"RUN", "STATUS", "CREATED", "TOOK"}};
  if (const auto runs = session.find("runs"))
    for (const auto run : runs->children())
      rows.row({cell(run, "id"), cell(run, "status"), relative_cell(run, "created_at", now),
                duration_cell(run, "created_at", "finished_at")});
  return out + rows.text(colour);
}

std::string worker_text(const json::value& worker, timestamp now, bool colour) {
  const auto status = cell(worker, "status");
  auto out = fmt::format("{}  {}\n", cell(worker, "id"), painted(status, status, colour));
  const auto line = [&](std::string_view name, const std::string& text) {
    if (text != "-")
      out += fmt::format("  {:<11} {}\n", name, text);
  };
  line("node", fmt::format("{}, slot {}", cell(worker, "node"), cell(worker, "slot")));
  if (cell(worker, "agent_id") != "-")
    line("agent",
         fmt::format("{}, version {}", cell(worker, "agent_id"), cell(worker, "agent_version")));
  line("layers", cell(worker, "layers"));
  line("last reason", cell(worker, "last_reason"));
  line("registered", relative_cell(worker, "registered_at", now));
  line("changed", relative_cell(worker, "changed_at", now));
  return out;
}

std::string analytics_text(const json::value& analytics, timestamp now) {
  table rows{{"AGENT", "RUNS", "SUCCEEDED", "FAILED", "CANCELLED", "COST", "TOKENS IN",
              "TOKENS OUT", "LAST RUN"}};
  const auto add = [&](const std::string& name, const json::value& sums) {
    rows.row({name, cell(sums, "runs"), cell(sums, "succeeded"), cell(sums, "failed"),
              cell(sums, "cancelled"), "$" + cell(sums, "cost_usd"), cell(sums, "tokens_in"),
              cell(sums, "tokens_out"), relative_cell(sums, "last_run_at", now)});
  };
  if (const auto agents = analytics.find("agents"))
    for (const auto agent : agents->children())
      add(cell(agent, "agent_slug"), agent);
  if (const auto total = analytics.find("total"))
    add("total", *total);
  return rows.text(false);
}

} // namespace runledger::cli
