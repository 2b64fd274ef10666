#include "actors/peer_commands.hpp"

#include "events/partition.hpp"

namespace runledger {

namespace {

template <class Event>
std::optional<peer_command> wish_for(Event fact, blob_store& blobs) {
  if (!externalize_event(fact, blobs))
    return std::nullopt;
  peer_command out;
  out.fact = encode(fact);
  return out;
}

/// What an entity's actor answers, as the other process hears it.
template <class Answer>
answer<Answer> answer_through(answer<peer_done> to, bool replayed_counts = true) {
  return answer<Answer>{
      [to = std::move(to), replayed_counts](result<Answer, refusal_info> outcome) {
        if (!outcome)
          return to(std::move(outcome.error()));
        if constexpr (requires { outcome->replayed; })
          to(peer_done{replayed_counts && outcome->replayed});
        else
          to(peer_done{});
      }};
}

template <class Event>
std::optional<Event> fact_in(const peer_command& command) {
  envelope e;
  e.stream = command.stream;
  e.type = command.fact.type;
  e.data = command.fact.data;
  auto fact = decode<Event>(e);
  return fact ? std::optional{std::move(*fact)} : std::nullopt;
}

} // namespace

std::optional<peer_command> command_of(const agent_id& id, const agent_mail& creation,
                                       blob_store& blobs) {
  const auto& ask = std::get<agent::create>(creation.body);
  auto out = wish_for<agent::event>(
      agent::created{ask.slug, ask.title, ask.description, ask.recipe, ask.key, ask.fingerprint},
      blobs);
  if (!out)
    return out;
  out->stream = stream_of(id);
  out->workspace = creation.workspace;
  out->origin = creation.origin;
  return out;
}

std::optional<peer_command> command_of(const workspace_id& id, const workspace_mail& creation,
                                       blob_store& blobs) {
  auto out = wish_for<workspace::event>(creation.command.fact, blobs);
  if (!out)
    return out;
  out->stream = stream_of(id);
  out->workspace = id;
  out->origin = creation.origin;
  return out;
}

peer_command command_of(const workspace_id& id, const audit_mail& mail) {
  peer_command out;
  out.stream = audit_stream_of(id);
  out.workspace = id;
  out.origin = mail.origin;
  out.fact = encode(mail.command.report);
  return out;
}

std::optional<agent_mail> agent_mail_of(const peer_command& command, answer<peer_done> to) {
  auto fact = fact_in<agent::event>(command);
  auto* wished = fact ? std::get_if<agent::created>(&*fact) : nullptr;
  if (wished == nullptr)
    return std::nullopt;
  agent_mail out;
  out.origin = command.origin;
  out.workspace = command.workspace;
  out.body = agent::create{wished->slug,   wished->title, wished->description,
                           wished->recipe, wished->key,   wished->fingerprint};
  out.to = answer_through<agent_answer>(std::move(to));
  out.from_peer = true;
  return out;
}

std::optional<workspace_mail> workspace_mail_of(const peer_command& command, answer<peer_done> to) {
  auto fact = fact_in<workspace::event>(command);
  auto* wished = fact ? std::get_if<workspace::created>(&*fact) : nullptr;
  if (wished == nullptr)
    return std::nullopt;
  workspace_mail out;
  out.origin = command.origin;
  out.command.fact = *wished;
  out.to = answer_through<workspace_answer>(std::move(to));
  out.from_peer = true;
  return out;
}

std::optional<audit_mail> audit_mail_of(const peer_command& command, answer<peer_done> to) {
  auto fact = fact_in<audit::event>(command);
  if (!fact)
    return std::nullopt;
  audit_mail out;
  out.origin = command.origin;
  out.workspace = command.workspace;
  out.command.report = std::move(*fact);
  out.to = answer_through<refusal_recorded>(std::move(to));
  out.from_peer = true;
  return out;
}

std::optional<slot_mail> slot_mail_of(const peer_command& command, answer<peer_done> to) {
  auto fact = fact_in<worker::event>(command);
  if (!fact)
    return std::nullopt;
  slot_mail out;
  out.origin = command.origin;
  out.command.node = command.node;
  out.command.slot = command.slot;
  if (auto* started = std::get_if<worker::process_started>(&*fact))
    out.command.report = std::move(*started);
  else if (auto* ended = std::get_if<worker::process_ended>(&*fact))
    out.command.report = std::move(*ended);
  else
    return std::nullopt;
  out.to = std::move(to);
  return out;
}

} // namespace runledger
