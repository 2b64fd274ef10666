#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/replay_verbs.hpp"
#include "cli/settings_values.hpp"
#include "cli/timeline.hpp"
#include "events/json_writer.hpp"
#include "projections/replay/what_if.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

using replay::what_if_report;

struct what_if_options : offline_options {
  std::string max_cost, budget, since, run, session, workspace;
  std::int64_t retry = 0; ///< 0: as recorded.
};

// -- what is asked -------------------------------------------------------------------------------

[[noreturn]] void refuse_call(std::string why) {
  throw command_failure{exit_wrong, std::move(why)};
}

std::optional<micro_usd> money_of(const char* option, const std::string& text) {
  if (text.empty())
    return std::nullopt;
  const auto amount = parse_money(text);
  if (!amount)
    refuse_call(fmt::format("{} {}, not `{}`", option, amount.error().why, printable(text)));
  return micro_usd{*amount};
}

replay::other_policy policy_of(const what_if_options& asked) {
  replay::other_policy out;
  out.max_cost = money_of("--max-cost-usd", asked.max_cost);
  out.budget = money_of("--budget", asked.budget);
  if (asked.retry != 0)
    out.max_attempts = asked.retry;
  if (!out.max_cost && !out.budget && !out.max_attempts)
    refuse_call("say what would have been other: --max-cost-usd, --retry or --budget");
  if (out.budget && (out.max_cost || out.max_attempts))
    refuse_call("--budget stands alone: with another limit or other retries runs go on where "
                "nothing is recorded, and what they take from the budget is not known");
  return out;
}

replay::run_selection selection_of(const what_if_options& asked) {
  replay::run_selection out;
  if (!asked.run.empty())
    out.run = run_id{asked.run};
  if (!asked.session.empty())
    out.session = session_id{asked.session};
  if (!asked.workspace.empty())
    out.workspace = workspace_id{asked.workspace.starts_with("ws/") ? asked.workspace.substr(3)
                                                                    : asked.workspace};
  if (!asked.since.empty()) {
    out.since = parse_rfc3339(asked.since);
    if (!out.since)
      refuse_call(fmt::format("--since {}: write a time like 2026-01-31T12:00:00Z",
                              printable(asked.since)));
  }
  return out;
}

/// What was selected, if nothing was found; empty without a selection.
std::string selected_name(const what_if_options& asked) {
  return asked.run + asked.session + asked.workspace;
}

// -- what is told --------------------------------------------------------------------------------

void append_policy(json_writer& json, const replay::other_policy& policy) {
  json.key("policy").begin_object();
  if (policy.max_cost)
    json.raw_member("max_cost_usd", to_usd(*policy.max_cost));
  if (policy.max_attempts)
    json.member("max_attempts", *policy.max_attempts);
  if (policy.budget)
    json.raw_member("budget_usd", to_usd(*policy.budget));
  json.end_object();
}

void append_changed(json_writer& json, const replay::changed_run& one) {
  json.begin_object()
      .member("run_id", one.run.value)
      .member("session_id", one.session.value)
      .member("workspace", one.workspace.value)
      .member("agent_slug", one.agent)
      .member("created_at", to_rfc3339(one.accepted_at))
      .member("status", to_string(one.recorded))
      .raw_member("cost_usd", to_usd(one.recorded_cost))
      .member("what_if", one.how.end ? "stopped" : "unknown")
      .member("seq", one.seq)
      .member("offset", one.offset)
      .member("time", to_rfc3339(one.at));
  if (one.how.end) {
    json.key("error").begin_object().member("code", one.how.end->code);
    json.member("message", one.how.end->message).end_object();
  } else {
    json.member("reason", one.how.why);
  }
  json.raw_member("what_if_cost_usd", to_usd(one.cost)).end_object();
}

std::string json_of(const what_if_report& report, const replay::other_policy& policy) {
  std::string out;
  json_writer json{out};
  json.begin_object();
  append_policy(json, policy);
  json.member("runs", report.runs)
      .member("stopped", report.stopped)
      .member("unknown", report.unknown)
      .member("damaged_events", report.damaged)
      .raw_member("cost_usd", to_usd(report.recorded))
      .raw_member("what_if_cost_usd", to_usd(report.otherwise))
      .member("what_if_cost_is_exact", report.exact())
      .raw_member("saved_usd", to_usd(report.saved));
  json.key("changed").begin_array();
  for (const auto& one : report.changed)
    append_changed(json, one);
  json.end_array().end_object();
  return out + '\n';
}

std::string changed_table(const what_if_report& report) {
  table rows{{"RUN", "AGENT", "STATUS", "COST", "WHAT IF", "AT EVENT", "COST THEN", "BECAUSE"}};
  for (std::size_t i = 0; i < std::min(report.changed.size(), shown_max); ++i) {
    const auto& one = report.changed[i];
    rows.row({printable(one.run.value), printable(one.agent), std::string{to_string(one.recorded)},
              "$" + to_usd(one.recorded_cost), one.how.end ? "stopped" : "unknown",
              fmt::format("{} {}", one.seq, to_rfc3339(one.at)),
              (one.how.end ? "$" : ">= $") + to_usd(one.cost),
              shortened(printable(one.how.end ? one.how.end->message : one.how.why))});
  }
  return rows.empty() ? "" : rows.text(wants_colour()) + '\n';
}

std::string text_of_report(const what_if_report& report) {
  auto out = changed_table(report);
  if (report.changed.size() > shown_max)
    out += fmt::format("... and {} more, see --json\n\n", report.changed.size() - shown_max);
  out +=
      fmt::format("runs      {}: {} as recorded, {} would have stopped earlier, {} unknown\n",
                  report.runs, report.runs - report.changed.size(), report.stopped, report.unknown);
  out += fmt::format("recorded  ${}\nwhat if   {}${}\nsaved     ${}, by what stops\n",
                     to_usd(report.recorded), report.exact() ? "" : "at least ",
                     to_usd(report.otherwise), to_usd(report.saved));
  if (report.damaged > 0)
    out += fmt::format("\n{} damaged events were left out; `runledger audit verify` names the "
                       "first.\n",
                       report.damaged);
  return out;
}

int what_if(const what_if_options& asked) {
  const auto policy = policy_of(asked);
  const auto selected = selection_of(asked);
  const offline_ledger ledger{asked};
  if (policy.budget && ledger.log().partition_count() > 1)
    refuse_call(
        fmt::format("{} has {} partitions, whose events have no common order, so nobody can "
                    "say who spent the last of a budget: ask with --max-cost-usd",
                    ledger.name(), ledger.log().partition_count()));
  const auto report = replay::what_if(ledger.log(), selected, policy);
  if (!report)
    refuse(ledger, report.error());
  if (report->runs == 0 && !selected.since && !selected_name(asked).empty())
    refuse_call(
        fmt::format("{} knows no run of {}", ledger.name(), printable(selected_name(asked))));
  print(asked.json ? json_of(*report, policy) : text_of_report(*report));
  return exit_done;
}

} // namespace

void add_replay_what_if(CLI::App& replay, command& chosen) {
  const auto options = std::make_shared<what_if_options>();
  auto& verb = add_offline_verb(
      replay, chosen, "what-if",
      "List the runs that another limit, budget or number of retries would have stopped", options,
      what_if);
  verb.add_option("--max-cost-usd", options->max_cost, "Limit each run's cost to so much");
  verb.add_option("--retry", options->retry,
                  "Try each run, and each of its steps, so often at most")
      ->check(CLI::Range(1, 1000));
  verb.add_option("--budget", options->budget,
                  "Let the runs of each workspace spend so much together, in US dollars");
  auto* run = verb.add_option("--run", options->run, "This run alone");
  auto* session = verb.add_option("--session", options->session, "The runs of this session");
  auto* workspace =
      verb.add_option("--workspace", options->workspace, "The runs of this workspace");
  run->excludes(session)->excludes(workspace);
  session->excludes(workspace);
  verb.add_option("--since", options->since, "Runs that were accepted at this time or later");
  verb.footer("unknown: the run would have gone on, or another way, where nothing is recorded.\n"
              "Examples:\n"
              "  runledger replay what-if --max-cost-usd 0.50 --since 2026-01-01T00:00:00Z\n"
              "  runledger replay what-if --budget 100 --workspace default --json\n"
              "  runledger replay what-if --retry 2 --session sess_01J9...");
}

} // namespace runledger::cli
