#include "events/cloud_event.hpp"

#include "events/base64.hpp"
#include "events/json.hpp"
#include "events/json_writer.hpp"

namespace runledger {

namespace {

void text_unless_empty(json_writer& out, std::string_view name, const std::string& text) {
  if (!text.empty())
    out.member(name, text);
}

/// All that is hashed but the payload, and the hash.
void write_attributes(json_writer& out, const envelope& e) {
  out.begin_object()
      .member("specversion", "1.0")
      .member("id", e.id())
      .member("source", "/runledger/" + e.workspace.value)
      .member("type", e.type)
      .member("subject", e.stream.value)
      .member("time", to_rfc3339(e.time))
      .member("datacontenttype", "application/json")
      .member("sequence", std::to_string(e.seq))
      .member("partitionkey", e.partition_key);
  text_unless_empty(out, "causationid", e.causation_id);
  text_unless_empty(out, "correlationid", e.correlation_id);
  text_unless_empty(out, "principal", e.principal);
  text_unless_empty(out, "traceparent", e.traceparent);
  out.member("datahash", to_hex(e.datahash))
      .member("prevhash", to_hex(e.prevhash))
      .member("eventhash", to_hex(e.eventhash));
}

} // namespace

void append_cloud_event_base64(std::string& text, const envelope& e) {
  json_writer out{text};
  write_attributes(out, e);
  out.member("data_base64", to_base64(e.data)).end_object();
}

void append_cloud_event_attributes(std::string& text, const envelope& e) {
  json_writer out{text};
  write_attributes(out, e);
}

void append_cloud_event_json(std::string& text, const record& r) {
  const auto& e = r.event;
  json_writer out{text};
  write_attributes(out, e);
  out.member("partition", r.partition).member("offset", r.offset).member("epoch", r.epoch);
  if (!json::parse(e.data)) {
    out.member("data", e.data).end_object();
    return;
  }
  const auto begin = text.size();
  out.raw_member("data", e.data).end_object();
  // In JSON they stand between tokens only.
  for (auto at = begin; (at = text.find_first_of("\r\n", at)) != std::string::npos;)
    text[at] = ' ';
}

} // namespace runledger
