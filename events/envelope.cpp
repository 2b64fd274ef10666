#include "events/envelope.hpp"

#include "events/attributes.hpp"

#include <charconv>

namespace runledger {

namespace {

constexpr std::string_view type_prefix = "dev.runledger.";

} // namespace

void append_canonical_header(std::string& out, const envelope& e) {
  std::string number;
  append_decimal(number, e.seq);
  std::string scratch = e.stream.value;
  scratch.push_back(':');
  scratch += number;

  out += "runledger-event-1\n";
  append_attribute(out, "specversion", "1.0");
  append_attribute(out, "id", scratch);
  scratch = "/runledger/";
  scratch += e.workspace.value;
  append_attribute(out, "source", scratch);
  append_attribute(out, "type", e.type);
  append_attribute(out, "subject", e.stream.value);
  scratch.clear();
  append_rfc3339(scratch, e.time);
  append_attribute(out, "time", scratch);
  append_attribute(out, "datacontenttype", "application/json");
  append_attribute(out, "sequence", number);
  append_attribute(out, "partitionkey", e.partition_key);
  append_attribute(out, "causationid", e.causation_id);
  append_attribute(out, "correlationid", e.correlation_id);
  append_attribute(out, "principal", e.principal);
  append_attribute(out, "traceparent", e.traceparent);
  scratch.clear();
  append_hex(scratch, e.datahash);
  append_attribute(out, "datahash", scratch);
  scratch.clear();
  append_hex(scratch, e.prevhash);
  append_attribute(out, "prevhash", scratch);
}

namespace {

digest header_hash(const envelope& e) {
  thread_local std::string header;
  header.clear();
  append_canonical_header(header, e);
  return sha256(header);
}

} // namespace

void seal(envelope& e) {
  e.datahash = sha256(e.data);
  e.eventhash = header_hash(e);
}

bool hashes_match(const envelope& e) {
  return e.datahash == sha256(e.data) && e.eventhash == header_hash(e);
}

std::string full_type(std::string_view name, int version) {
  std::string out{type_prefix};
  out += name;
  out += ".v";
  out += std::to_string(version);
  return out;
}

std::optional<type_name> split_type(std::string_view full) {
  if (!full.starts_with(type_prefix))
    return std::nullopt;
  full.remove_prefix(type_prefix.size());
  auto dot = full.rfind(".v");
  if (dot == std::string_view::npos || dot == 0)
    return std::nullopt;
  type_name out{full.substr(0, dot), 0};
  auto digits = full.substr(dot + 2);
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), out.version);
  if (ec != std::errc{} || end != digits.data() + digits.size() || out.version < 1)
    return std::nullopt;
  return out;
}

} // namespace runledger
