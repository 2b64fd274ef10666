#include "cli/audit_verbs.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "events/json_writer.hpp"
#include "projections/replay/who.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

using replay::who_report;

struct who_options : offline_options {
  std::string id;
};

void append_touches(json_writer& json, const replay::touches& t) {
  json.member("events", t.events)
      .member("first", to_rfc3339(t.first))
      .member("last", to_rfc3339(t.last));
}

void append_named(json_writer& json, std::string_view list, std::string_view name,
                  const std::map<std::string, replay::touches>& all) {
  json.key(list).begin_array();
  for (const auto& [text, t] : all) {
    json.begin_object().member(name, text);
    append_touches(json, t);
    json.end_object();
  }
  json.end_array();
}

void append_key(json_writer& json, const replay::key_facts& key) {
  json.key("key").begin_object();
  json.member("name", key.title)
      .member("workspace", key.workspace.value)
      .member("made_at", to_rfc3339(key.made_at))
      .member("made_by", key.made_by);
  if (key.revoked_at)
    json.member("revoked_at", to_rfc3339(*key.revoked_at));
  else
    json.raw_member("revoked_at", "null");
  json.end_object();
}

void append_refused(json_writer& json, const replay::refused_attempt& attempt) {
  json.begin_object()
      .member("event_id", attempt.event_id)
      .member("at", to_rfc3339(attempt.at))
      .member("principal", attempt.principal)
      .member("key_name", attempt.key_name)
      .member("workspace", attempt.workspace.value)
      .member("request_id", attempt.request)
      .member("method", attempt.call.method)
      .member("path", attempt.call.path)
      .member("status", attempt.call.status)
      .member("code", attempt.call.code)
      .end_object();
}

std::string json_of(const who_report& report) {
  std::string out;
  json_writer json{out};
  json.begin_object().member("id", report.id).member("workspace", report.workspace.value);
  json.key("who").begin_array();
  for (const auto& one : report.who) {
    json.begin_object().member("principal", one.principal);
    if (one.key)
      append_key(json, *one.key);
    append_touches(json, one.all);
    append_named(json, "types", "type", one.by_type);
    append_named(json, "requests", "request_id", one.by_request);
    json.end_object();
  }
  json.end_array();
  append_named(json, "streams", "stream", report.streams);
  json.key("refused").begin_array();
  for (const auto& attempt : report.refused)
    append_refused(json, attempt);
  json.end_array();
  json.member("suppressed", report.suppressed).member("damaged", report.damaged).end_object();
  return out + '\n';
}

/// Who a principal is, in a few words.
std::string described(const replay::toucher& one) {
  if (one.key)
    return fmt::format("{} (made {}{})", printable(one.key->title), to_rfc3339(one.key->made_at),
                       one.key->revoked_at ? ", revoked " + to_rfc3339(*one.key->revoked_at) : "");
  if (one.principal.starts_with("run_"))
    return "the run's harness";
  return one.principal == "system" ? "the server" : "-";
}

std::string left_out(std::size_t all) {
  return all > shown_max ? fmt::format("... and {} more, see --json\n", all - shown_max) : "";
}

std::string who_table(const who_report& report) {
  table rows{{"WHO", "THAT IS", "WHAT", "EVENTS", "FIRST", "LAST"}};
  std::size_t count = 0;
  for (const auto& one : report.who)
    for (const auto& [type, t] : one.by_type)
      if (count++ < shown_max)
        rows.row({one.principal, described(one), type, std::to_string(t.events),
                  to_rfc3339(t.first), to_rfc3339(t.last)});
  return rows.text(wants_colour()) + left_out(count);
}

std::string request_table(const who_report& report) {
  table rows{{"REQUEST", "BY", "EVENTS", "FIRST", "LAST"}};
  std::size_t count = 0;
  for (const auto& one : report.who)
    for (const auto& [request, t] : one.by_request)
      if (count++ < shown_max)
        rows.row({request, one.principal, std::to_string(t.events), to_rfc3339(t.first),
                  to_rfc3339(t.last)});
  return count == 0 ? "" : "\n" + rows.text(wants_colour()) + left_out(count);
}

std::string refused_table(const who_report& report) {
  table rows{{"REFUSED AT", "BY", "REQUEST", "CALL", "ANSWER"}};
  // The latest ones are of interest.
  const auto first = report.refused.size() - std::min(report.refused.size(), shown_max);
  for (auto i = first; i < report.refused.size(); ++i) {
    const auto& one = report.refused[i];
    const auto named = one.key_name.empty() ? "" : " (" + printable(one.key_name) + ")";
    rows.row({to_rfc3339(one.at), one.principal + named, one.request,
              one.call.method + ' ' + printable(one.call.path),
              fmt::format("{} {}", one.call.status, one.call.code)});
  }
  std::string out = rows.empty() ? "" : "\n" + rows.text(wants_colour());
  if (first > 0)
    out += fmt::format("... and {} earlier ones, see --json\n", first);
  if (report.suppressed > 0)
    out += fmt::format("\n{} refused calls of this workspace or without a key were only counted, "
                       "because there were too many at once.\n",
                       report.suppressed);
  return out;
}

std::string text_of_report(const who_report& report) {
  auto out = report.workspace.empty()
                 ? fmt::format("{}\n\n", report.id)
                 : fmt::format("{} in workspace {}\n\n", report.id, report.workspace.value);
  if (!report.who.empty())
    out += who_table(report);
  out += request_table(report) + refused_table(report);
  if (report.damaged > 0)
    out += fmt::format("\n{} damaged events were left out; `runledger audit verify` names the "
                       "first.\n",
                       report.damaged);
  return out;
}

int who(const who_options& asked) {
  const auto subject = replay::who_subject_of(asked.id);
  if (!subject)
    throw command_failure{exit_wrong,
                          fmt::format("`{}` is no id: run_..., sess_..., ag_..., key_..., wrk_... "
                                      "or a workspace's",
                                      printable(asked.id))};
  const offline_ledger ledger{asked};
  auto report = replay::who_touched(ledger.log(), asked.id, *subject);
  if (!report)
    refuse(ledger, report.error());
  if (asked.json)
    print(json_of(*report));
  else if (!report->empty())
    print(text_of_report(*report));
  if (!report->empty())
    return exit_done;
  throw command_failure{exit_wrong,
                        fmt::format("{} holds nothing about {}", ledger.name(), asked.id)};
}

} // namespace

void add_audit_who(CLI::App& noun, command& chosen) {
  const auto asked = std::make_shared<who_options>();
  auto& verb = add_offline_verb(noun, chosen, "who",
                                "List who touched an object, and who tried to in vain", asked, who);
  verb.add_option("ID", asked->id, "A run, session, agent, key, worker or workspace")->required();
  verb.footer("For a key: everything that it did.\n"
              "Examples:\n"
              "  runledger audit who run_01J9... --data /var/lib/runledger\n"
              "  runledger audit who key_01J9... --ledger sqlite:backup/ledger.db --json");
}

} // namespace runledger::cli
