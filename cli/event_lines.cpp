#include "cli/event_lines.hpp"

#include "cli/output.hpp"
#include "cli/timeline.hpp"
#include "events/cloud_event.hpp"
#include "events/codec.hpp"
#include "events/timeline.hpp"

#include <fmt/format.h>

namespace runledger::cli {

namespace {

/// `run.step_started`, without prefix and version where both are ours.
std::string short_type(const std::string& full) {
  const auto name = split_type(full);
  return name ? std::string{name->name} : printable(full);
}

/// The scalar members of a payload: `status succeeded, run_id run_...`.
std::string members_text(const json::value& data) {
  std::string out;
  for (const auto member : data.children()) {
    if (member.is_null() || member.is_object() || member.is_array())
      continue;
    const auto text = printable(member.is_string() ? member.string() : member.raw());
    if (!text.empty() && member.name() != "fingerprint" && member.name() != "idempotency_key")
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", printable(member.name()), text);
  }
  return out;
}

/// What an event says, as its session's timeline would where it has a place there.
std::string what_of(const record& r, bool colour) {
  if (!r.damage.empty())
    return "damaged: " + r.damage;
  const auto verdict = place_of(r);
  const auto item = verdict == timeline_verdict::item ? item_of(r) : timeline_item{};
  const auto document = json::parse(item.data.empty() ? r.event.data : item.data);
  if (!document)
    return printable(r.event.data);
  return item.data.empty() ? members_text(document->root())
                           : essence(item.type, document->root(), colour);
}

} // namespace

event_lines::event_lines(bool json, std::string own)
    : json_(json), colour_(wants_colour()), own_(std::move(own)) {}

const std::string& event_lines::line(const record& r) {
  if (json_) {
    line_.clear();
    append_cloud_event_json(line_, r);
    line_ += '\n';
  } else {
    line_ = fmt::format("{}  {:>6}  {:<24}  {:<30}  {}\n", to_rfc3339(r.event.time), place(r),
                        short_type(r.event.type), printable(r.event.principal),
                        shortened(what_of(r, colour_)));
  }
  return line_;
}

/// `12` in the stream that was asked for; in a session `2.12` for an event of its second turn's
/// run; for a run `s12` for the session's event that accepted it; elsewhere the event's id.
std::string event_lines::place(const record& r) {
  const auto seq = std::to_string(r.event.seq);
  if (r.event.stream.value != own_) {
    if (const auto turn = turns_.find(r.event.stream.value); turn != turns_.end())
      return fmt::format("{}.{}", turn->second, seq);
    return kind_of(stream_id{own_}) == stream_kind::run ? 's' + seq : printable(r.event.id());
  }
  if (kind_of(r.event.stream) == stream_kind::session)
    if (const auto fact = decode<session::event>(r.event))
      if (const auto* accepted = std::get_if<session::turn_accepted>(&*fact))
        turns_[accepted->run.value] = accepted->turn;
  return seq;
}

} // namespace runledger::cli
