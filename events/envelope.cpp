#include "events/envelope.hpp"

#include <charconv>

namespace runledger {

namespace {

constexpr std::string_view type_prefix = "dev.runledger.";

void append_number(std::string& out, std::uint64_t n) {
  char text[24];
  auto [end, ec] = std::to_chars(text, text + sizeof text, n);
  out.append(text, end);
}

/// `<name>=<length in bytes>:<value>\n`: no value can be mistaken for another attribute.
void attribute(std::string& out, std::string_view name, std::string_view value) {
  out.append(name);
  out.push_back('=');
  append_number(out, value.size());
  out.push_back(':');
  out.append(value);
  out.push_back('\n');
}

} // namespace

void append_canonical_header(std::string& out, const envelope& e) {
  std::string number;
  append_number(number, e.seq);
  std::string scratch = e.stream.value;
  scratch.push_back(':');
  scratch += number;

  out += "runledger-event-1\n";
  attribute(out, "specversion", "1.0");
  attribute(out, "id", scratch);
  scratch = "/runledger/";
  scratch += e.workspace.value;
  attribute(out, "source", scratch);
  attribute(out, "type", e.type);
  attribute(out, "subject", e.stream.value);
  scratch.clear();
  append_rfc3339(scratch, e.time);
  attribute(out, "time", scratch);
  attribute(out, "datacontenttype", "application/json");
  attribute(out, "sequence", number);
  attribute(out, "partitionkey", e.partition_key);
  attribute(out, "causationid", e.causation_id);
  attribute(out, "correlationid", e.correlation_id);
  attribute(out, "principal", e.principal);
  attribute(out, "traceparent", e.traceparent);
  scratch.clear();
  append_hex(scratch, e.datahash);
  attribute(out, "datahash", scratch);
  scratch.clear();
  append_hex(scratch, e.prevhash);
  attribute(out, "prevhash", scratch);
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
