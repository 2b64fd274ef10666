#include "events/envelope.hpp"

#include "events/attributes.hpp"

#include <charconv>
#include <vector>

namespace runledger {

namespace {

constexpr std::string_view type_prefix = "dev.runledger.";

constexpr std::string_view source_prefix = "/runledger/";

/// Room for every header of this envelope: its own texts, and what the format adds.
std::size_t header_room(const envelope& e) {
  constexpr std::size_t format = 1024; // 16 lines, two hashes, a time, two numbers.
  return format + 2 * e.stream.value.size() + e.type.size() + e.workspace.value.size()
         + e.partition_key.size() + e.causation_id.size() + e.correlation_id.size()
         + e.principal.size() + e.traceparent.size();
}

char* write_canonical_header(char* at, const envelope& e) {
  char number[decimal_room], time[24], hash[64];
  const std::string_view seq{number, write_decimal(number, e.seq)};
  const std::string_view when{time, write_rfc3339(time, e.time)};
  const auto hex = [&](const digest& d) { return std::string_view{hash, write_hex(hash, d)}; };
  at = write_text(at, "runledger-event-1\n");
  at = write_attribute(at, "specversion", "1.0");
  at = write_attribute(at, "id", e.stream.value, ":", seq);
  at = write_attribute(at, "source", source_prefix, e.workspace.value);
  at = write_attribute(at, "type", e.type);
  at = write_attribute(at, "subject", e.stream.value);
  at = write_attribute(at, "time", when);
  at = write_attribute(at, "datacontenttype", "application/json");
  at = write_attribute(at, "sequence", seq);
  at = write_attribute(at, "partitionkey", e.partition_key);
  at = write_attribute(at, "causationid", e.causation_id);
  at = write_attribute(at, "correlationid", e.correlation_id);
  at = write_attribute(at, "principal", e.principal);
  at = write_attribute(at, "traceparent", e.traceparent);
  at = write_attribute(at, "datahash", hex(e.datahash));
  at = write_attribute(at, "prevhash", hex(e.prevhash));
  return at;
}

digest header_hash(const envelope& e) {
  thread_local std::vector<char> header;
  if (const auto room = header_room(e); header.size() < room)
    header.resize(room);
  const auto* end = write_canonical_header(header.data(), e);
  return sha256({header.data(), end});
}

} // namespace

void append_canonical_header(std::string& out, const envelope& e) {
  const auto before = out.size();
  out.resize(before + header_room(e));
  const auto* end = write_canonical_header(out.data() + before, e);
  out.resize(static_cast<std::size_t>(end - out.data()));
}

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
