#include "http/cluster/command_text.hpp"

#include "events/json.hpp"
#include "events/json_writer.hpp"
#include "http/routes/refusals.hpp"

namespace runledger::http {

namespace {

std::string text_of(const json::value& object, std::string_view name) {
  const auto found = object.find(name);
  return found && found->is_string() ? std::string{found->string()} : std::string{};
}

} // namespace

std::string command_text(const peer_command& command) {
  std::string out;
  json_writer{out}
      .begin_object()
      .member("stream", command.stream.value)
      .member("workspace", command.workspace.value)
      .member("command_id", command.origin.causation_id)
      .member("correlation_id", command.origin.correlation_id)
      .member("principal", command.origin.principal)
      .member("traceparent", command.origin.traceparent)
      .member("node", command.node)
      .member("slot", command.slot)
      .member("type", command.fact.type)
      .member("data", command.fact.data) // As a text: its bytes stay as they are.
      .end_object();
  return out;
}

std::optional<peer_command> read_command(std::string_view text) {
  const auto parsed = json::parse(text);
  if (!parsed || !parsed->root().is_object())
    return std::nullopt;
  const auto root = parsed->root();
  peer_command out;
  out.stream.value = text_of(root, "stream");
  out.workspace.value = text_of(root, "workspace");
  out.origin = {text_of(root, "command_id"), text_of(root, "correlation_id"),
                text_of(root, "principal"), text_of(root, "traceparent")};
  out.node = text_of(root, "node");
  if (const auto slot = root.find("slot"); slot && slot->is_number())
    out.slot = slot->integer().value_or(0);
  out.fact = {text_of(root, "type"), text_of(root, "data")};
  if (out.stream.empty() || out.origin.causation_id.empty() || out.fact.type.empty())
    return std::nullopt;
  return out;
}

std::string outcome_text(const result<peer_done, refusal_info>& outcome) {
  std::string out;
  json_writer json{out};
  json.begin_object();
  if (outcome) {
    json.member("replayed", outcome->replayed);
  } else {
    const auto why = problem_of(outcome.error());
    json.member("refused", why.code).member("detail", why.detail);
  }
  json.end_object();
  return out;
}

result<peer_done, refusal_info> read_outcome(std::string_view text) {
  const auto parsed = json::parse(text);
  if (!parsed || !parsed->root().is_object())
    return refusal_info{};
  const auto root = parsed->root();
  if (const auto replayed = root.find("replayed"); replayed && replayed->is_boolean())
    return peer_done{replayed->boolean()};
  refusal_info why;
  why.code = errc_of(text_of(root, "refused")).value_or(errc::outcome_unknown);
  why.detail = text_of(root, "detail");
  return why;
}

} // namespace runledger::http
