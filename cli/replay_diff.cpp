#include "cli/event_lines.hpp"
#include "cli/json_changes.hpp"
#include "cli/offline_verb.hpp"
#include "cli/output.hpp"
#include "cli/past_object.hpp"
#include "cli/replay_events.hpp"
#include "cli/replay_verbs.hpp"
#include "cli/timeline.hpp"
#include "events/json_writer.hpp"
#include "projections/replay/spend.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

struct diff_options : offline_options {
  std::string id, from, to;
};

/// Events behind the first point and within the second, in the order of the ledger. Ends the
/// command if the first lies behind the second.
class between {
public:
  between(const offline_ledger& ledger, const diff_options& asked, const replay::point& from,
          const replay::point& to)
      : lines_(asked.json, asked.id),
        from_(reach_of(ledger, asked.id, from)),
        to_(reach_of(ledger, asked.id, to)) {}

  void take(const record& r) {
    const bool before = from_.holds(r), within = to_.holds(r);
    if (before && !within)
      throw command_failure{exit_wrong, "the first point lies behind the second: turn them round"};
    const auto& line = lines_.line(r); // Every line: they tell the turns of a session's runs.
    if (within && !before) {
      text_ += line;
      ++count_;
    }
  }
  std::size_t count() const { return count_; }
  const std::string& text() const { return text_; }

private:
  static replay::reach reach_of(const offline_ledger& ledger, const std::string& id,
                                const replay::point& when) {
    const auto reach = replay::reach::of(when, ledger.log(), stream_id{id});
    if (!reach)
      refuse(ledger, reach.error());
    return *reach;
  }

  event_lines lines_;
  replay::reach from_, to_;
  std::string text_;
  std::size_t count_ = 0;
};

/// Events that change the object: all of an entity, those of runs and money for a workspace.
void collect(const offline_ledger& ledger, past_kind what, const diff_options& asked,
             between& events) {
  const auto take = [&](const record_ptr& r) {
    events.take(*r);
    return true;
  };
  if (what != past_kind::spend) {
    if (const auto walked = each_event_of(ledger, stream_id{asked.id}, take); !walked)
      refuse(ledger, walked.error());
    return;
  }
  const replay::point everything{replay::point::kind::offset, INT64_MAX, {}};
  const auto walked =
      replay::spend_as_of(ledger.log(), workspace_id{asked.id.substr(3)}, everything,
                          [&](const record_ptr& r) { events.take(*r); });
  if (!walked)
    refuse(ledger, walked.error());
}

std::string json_text(const between& events, const std::vector<json_change>& changes,
                      const replay::point& from, const replay::point& to) {
  std::string out;
  json_writer writer{out};
  writer.begin_object().member("from", replay::to_text(from)).member("to", replay::to_text(to));
  writer.key("events").begin_array();
  for (std::string_view rest = events.text(); !rest.empty();) {
    const auto end = rest.find('\n');
    writer.raw(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  writer.end_array().key("changes").begin_array();
  for (const auto& change : changes) {
    writer.begin_object().member("path", change.pointer);
    if (change.before)
      writer.raw_member("before", *change.before);
    if (change.after)
      writer.raw_member("after", *change.after);
    writer.end_object();
  }
  writer.end_array().end_object();
  return out + '\n';
}

std::string people_text(const between& events, const std::vector<json_change>& changes) {
  auto out = events.text();
  out += fmt::format("{}events: {}, members that differ: {}\n", events.count() == 0 ? "" : "\n",
                     events.count(), changes.size());
  const auto value = [](const std::optional<std::string>& json) {
    return json ? shortened(printable(*json)) : std::string{"(not there)"};
  };
  for (const auto& change : changes)
    out += fmt::format("  {:<24} {} -> {}\n",
                       change.pointer.empty() ? "(all)" : printable(change.pointer),
                       value(change.before), value(change.after));
  return out;
}

int diff(const diff_options& asked) {
  const auto from = point_of(asked.from), to = point_of(asked.to);
  const offline_ledger ledger{asked};
  const auto what = past_kind_of(ledger, asked.id, from);
  past_kind_of(ledger, asked.id, to);
  const auto after = object_at(ledger, what, asked.id, to);
  if (!after)
    refuse_absent(ledger, what, asked.id, to);
  const auto before = object_at(ledger, what, asked.id, from);
  between events{ledger, asked, from, to};
  collect(ledger, what, asked, events);
  const auto new_object = parsed(after->json);
  const auto old_object = before ? std::optional{parsed(before->json)} : std::nullopt;
  const auto changes = changes_between(
      old_object ? std::optional{old_object->root()} : std::nullopt, new_object.root());
  print(asked.json ? json_text(events, changes, from, to) : people_text(events, changes));
  return exit_done;
}

} // namespace

void add_replay_diff(CLI::App& replay, command& chosen) {
  const auto options = std::make_shared<diff_options>();
  auto& verb =
      add_offline_verb(replay, chosen, "diff",
                       "Show what happened between two points, and what it changed", options, diff);
  verb.add_option("ID", options->id, "run_..., sess_..., wrk_..., or ws/ID for what it had spent")
      ->required();
  verb.add_option("A", options->from, "The earlier point, as for `replay at`")->required();
  verb.add_option("B", options->to, "The later point")->required();
  verb.footer("The events behind A up to B, then the members of the API's object that differ.\n"
              "Example:\n  runledger replay diff run_01J9... 3 12");
}

} // namespace runledger::cli
