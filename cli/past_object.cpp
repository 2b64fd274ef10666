#include "cli/past_object.hpp"

#include "cli/objects.hpp"
#include "cli/output.hpp"
#include "projections/render.hpp"
#include "projections/replay/as_of.hpp"
#include "projections/replay/spend.hpp"

#include <cstdio>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

constexpr std::string_view workspace_prefix = "ws/";

workspace_id workspace_of(const std::string& id) {
  return workspace_id{id.substr(workspace_prefix.size())};
}

void render(std::string& out, const views::run_row& row) {
  views::append_run_json(out, row);
}
void render(std::string& out, const views::session_view& view) {
  views::append_session_json(out, view.session, view.runs);
}
void render(std::string& out, const views::worker_row& row) {
  views::append_worker_json(out, row);
}

template <class Row>
std::optional<past_object> made_of(const offline_ledger& ledger, const replay::answer<Row>& found) {
  if (!found)
    refuse(ledger, found.error());
  if (!*found)
    return std::nullopt;
  const auto& past = **found;
  if (past.content_missing)
    fmt::print(stderr,
               "runledger: warning: contents over 256 KiB are shown as null: {} has no "
               "blobs beside it, name the data folder with --data\n",
               ledger.name());
  past_object out;
  render(out.json, past.row);
  const auto& event = past.last->event;
  out.at = event.time;
  out.last =
      fmt::format("{} at {}, offset {}", event.id(), to_rfc3339(event.time), past.last->offset);
  return out;
}

std::optional<past_object> spend_at(const offline_ledger& ledger, const std::string& id,
                                    const replay::point& when) {
  record_ptr last;
  const auto found = replay::spend_as_of(ledger.log(), workspace_of(id), when,
                                         [&](const record_ptr& r) { last = r; });
  if (!found)
    refuse(ledger, found.error());
  if (!*found)
    return std::nullopt;
  past_object out;
  views::append_analytics_json(out.json, **found);
  out.at = (*found)->end;
  out.last = last ? fmt::format("{} at {}, offset {}", last->event.id(),
                                to_rfc3339(last->event.time), last->offset)
                  : "no run yet";
  return out;
}

} // namespace

replay::point point_of(const std::string& argument) {
  if (const auto point = replay::parse_point(argument))
    return *point;
  throw command_failure{
      exit_wrong,
      fmt::format("{}: no point in the past: write seq:N or N (the entity's own event), "
                  "offset:N (a place in the ledger) or a time like "
                  "2026-01-31T12:00:00Z",
                  printable(argument))};
}

past_kind past_kind_of(const offline_ledger& ledger, const std::string& id,
                       const replay::point& when) {
  switch (kind_of(stream_id{id})) {
    case stream_kind::run:
      return past_kind::run;
    case stream_kind::session:
      return past_kind::session;
    case stream_kind::worker:
      return past_kind::worker;
    case stream_kind::workspace:
      break;
    default:
      throw command_failure{
          exit_wrong, fmt::format("{}: the past is told of run_..., sess_..., wrk_... and ws/ID "
                                  "(what the workspace had spent); `replay show` prints the events "
                                  "of every stream",
                                  printable(id))};
  }
  if (when.what == replay::point::kind::seq)
    throw command_failure{exit_wrong,
                          "the spend of a workspace comes from many streams and has no seq: name "
                          "an offset or a time"};
  if (when.what == replay::point::kind::offset && ledger.log().partition_count() > 1)
    throw command_failure{exit_wrong,
                          fmt::format("{} has {} partitions, each with offsets of its own: name a "
                                      "time",
                                      ledger.name(), ledger.log().partition_count())};
  return past_kind::spend;
}

std::optional<past_object> object_at(const offline_ledger& ledger, past_kind what,
                                     const std::string& id, const replay::point& when) {
  const replay::sources from{ledger.log(), ledger.blobs()};
  switch (what) {
    case past_kind::run:
      return made_of(ledger, replay::run_as_of(from, run_id{id}, when));
    case past_kind::session:
      return made_of(ledger, replay::session_as_of(from, session_id{id}, when));
    case past_kind::worker:
      return made_of(ledger, replay::worker_as_of(from, worker_id{id}, when));
    case past_kind::spend:
      break;
  }
  return spend_at(ledger, id, when);
}

std::string past_text(past_kind what, const past_object& object, bool colour) {
  const auto document = parsed(object.json);
  switch (what) {
    case past_kind::run:
      return run_text(document.root(), object.at, colour);
    case past_kind::session:
      return session_text(document.root(), object.at, colour);
    case past_kind::worker:
      return worker_text(document.root(), object.at, colour);
    case past_kind::spend:
      break;
  }
  return analytics_text(document.root(), object.at);
}

void refuse_absent(const offline_ledger& ledger, past_kind what, const std::string& id,
                   const replay::point& when) {
  replay::point now;
  now.what = what == past_kind::spend ? replay::point::kind::offset : replay::point::kind::seq;
  now.number = INT64_MAX;
  if (object_at(ledger, what, id, now))
    throw command_failure{
        exit_no, fmt::format("{} was not there yet at {}", printable(id), replay::to_text(when))};
  throw command_failure{exit_wrong,
                        fmt::format("{} knows nothing of {}", ledger.name(), printable(id))};
}

} // namespace runledger::cli
