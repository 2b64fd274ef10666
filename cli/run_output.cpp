#include "cli/run_output.hpp"

#include "cli/output.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

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

} // namespace

void show_run(const api& server, const http_reply& reply) {
  if (server.json())
    return print(reply.body + "\n");
  const auto document = parsed(reply.body);
  print(run_text(document.root(), system_wall_clock{}.now(), wants_colour()));
}

int run_exit_code(std::string_view status) {
  return status == "succeeded" ? exit_done : exit_no;
}

} // namespace runledger::cli
