#include "events/log/kafka_record.hpp"

#include "events/base64.hpp"
#include "events/cloud_event.hpp"
#include "events/json.hpp"
#include "events/raw_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <simdjson.h>

namespace runledger::kafka {

namespace {

constexpr std::string_view content_type_header = "content-type";
constexpr std::string_view attribute_prefix = "ce_";
constexpr std::string_view json_type = "application/json";
constexpr std::string_view structured_type = "application/cloudevents+json";
constexpr std::string_view source_prefix = "/runledger/";
constexpr std::string_view verbatim_begin = ",\"data\":";
constexpr std::string_view base64_begin = ",\"data_base64\":\"";
constexpr std::string_view base64_end = "\"}";

/// All that is hashed but the payload, and the hash; in binary mode with `ce_` before the name,
/// but for the content's type, which is a header of its own.
enum attribute : std::size_t {
  specversion,
  id,
  source,
  type,
  subject,
  time_of_event,
  datacontenttype,
  sequence,
  partitionkey,
  causationid,
  correlationid,
  principal,
  traceparent,
  datahash,
  prevhash,
  eventhash,
  attribute_count,
};
constexpr std::array<std::string_view, attribute_count> header_names{
    "ce_specversion",  "ce_id",          "ce_source",        "ce_type",
    "ce_subject",      "ce_time",        "content-type",     "ce_sequence",
    "ce_partitionkey", "ce_causationid", "ce_correlationid", "ce_principal",
    "ce_traceparent",  "ce_datahash",    "ce_prevhash",      "ce_eventhash",
};
constexpr std::string_view json_name(std::size_t a) {
  return a == datacontenttype ? "datacontenttype" : header_names[a].substr(attribute_prefix.size());
}

/// Headers that stand beside the envelope.
enum beside : std::size_t { epoch, open, due_ms, origin_text, beside_count };
constexpr std::array<std::string_view, beside_count> beside_names{
    "runledger_epoch", "runledger_open", "runledger_due_ms", "runledger_origin"};

template <std::size_t N>
using texts = std::array<std::optional<std::string_view>, N>;

std::string quoted(std::string_view name) {
  return '`' + std::string{name} + '`';
}

/// What CloudEvents allows in a string, but for Unicode's non-characters: UTF-8 without U+0000 to
/// U+001F and U+007F to U+009F.
bool is_text(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto c = static_cast<unsigned char>(bytes[i]);
    const bool c1 =
        c == 0xC2 && i + 1 < bytes.size() && static_cast<unsigned char>(bytes[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F || c1)
      return false;
  }
  return simdjson::validate_utf8(bytes.data(), bytes.size());
}

/// Nothing unless it is what std::to_chars writes, and from `least` on.
std::optional<std::int64_t> read_number(std::string_view text, std::int64_t least) {
  std::int64_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc{} || end != text.data() + text.size() || number < least)
    return std::nullopt;
  char again[decimal_room + 1];
  const auto written = std::to_chars(again, std::end(again), number);
  return text == std::string_view{again, written.ptr} ? std::optional{number} : std::nullopt;
}

/// Takes an envelope out of its attributes and remembers the first that is not as it is written.
class envelope_reader {
public:
  explicit envelope_reader(const texts<attribute_count>& from) : from_(from) {}

  void read(envelope& e) {
    fixed(specversion, "1.0");
    fixed(datacontenttype, json_type);
    read_identity(e);
    e.type = text(type);
    e.partition_key = text(partitionkey);
    e.causation_id = optional_text(causationid);
    e.correlation_id = optional_text(correlationid);
    e.principal = optional_text(principal);
    e.traceparent = optional_text(traceparent);
    e.datahash = hash(datahash);
    e.prevhash = hash(prevhash);
    e.eventhash = hash(eventhash);
  }
  const std::string& problem() const { return problem_; }

private:
  void read_identity(envelope& e) {
    e.stream.value = text(subject);
    const auto seq = text(sequence);
    const auto number = read_number(seq, 1);
    need(number.has_value(), sequence, "is no number from 1 to 9223372036854775807");
    e.seq = static_cast<std::uint64_t>(number.value_or(0));
    const auto whole = text(id);
    const bool fits = whole.size() == e.stream.value.size() + 1 + seq.size()
                      && whole.starts_with(e.stream.value) && whole.ends_with(seq)
                      && whole[e.stream.value.size()] == ':';
    need(fits, id, "is not `<subject>:<sequence>`");
    const auto from = text(source);
    const bool ours = from.starts_with(source_prefix) && from.size() > source_prefix.size();
    need(ours, source, "is not `/runledger/<workspace>`");
    if (ours)
      e.workspace.value = from.substr(source_prefix.size());
    const auto when = text(time_of_event);
    const auto parsed = parse_rfc3339(when);
    char again[24];
    need(parsed && when == std::string_view{again, write_rfc3339(again, *parsed)}, time_of_event,
         "is no time like `2026-01-31T12:00:00.000Z`");
    e.time = parsed.value_or(timestamp{});
  }

  void need(bool truth, attribute a, std::string_view otherwise) {
    if (!truth && problem_.empty())
      problem_ = "The attribute " + quoted(json_name(a)) + ' ' + std::string{otherwise} + '.';
  }
  std::string_view optional_text(attribute a) {
    if (!from_[a])
      return {};
    need(!from_[a]->empty(), a, "is empty");
    need(is_text(*from_[a]), a, "has a control character or is not in UTF-8");
    return *from_[a];
  }
  std::string_view text(attribute a) {
    need(from_[a].has_value(), a, "is missing");
    return optional_text(a);
  }
  void fixed(attribute a, std::string_view expected) {
    need(text(a) == expected, a, "is not " + quoted(expected));
  }
  digest hash(attribute a) {
    const auto read = digest_from_hex(text(a));
    need(read.has_value(), a, "is not 64 lower-case hex digits");
    return read.value_or(digest{});
  }

  const texts<attribute_count>& from_;
  std::string problem_; ///< Of the first that was found.
};

/// What headers say, by name.
struct sorted_headers {
  texts<attribute_count> attributes;
  texts<beside_count> beside;
};

/// Nothing: the header is not one that has a meaning here.
std::optional<std::string_view>* place_of(sorted_headers& in, std::string_view name) {
  if (const auto at = std::ranges::find(header_names, name); at != header_names.end())
    return &in.attributes[static_cast<std::size_t>(at - header_names.begin())];
  if (const auto at = std::ranges::find(beside_names, name); at != beside_names.end())
    return &in.beside[static_cast<std::size_t>(at - beside_names.begin())];
  return nullptr;
}

result<sorted_headers, std::string> sort_headers(std::span<const header_view> headers) {
  const auto twice = [](std::string_view name) {
    return "The header " + quoted(name) + " stands twice.";
  };
  sorted_headers out;
  std::vector<std::string_view> others; // Extensions that are not ours.
  for (const auto& header : headers) {
    auto* place = place_of(out, header.name);
    if (place == nullptr) {
      if (header.name.starts_with(attribute_prefix))
        others.push_back(header.name);
      continue;
    }
    if (!header.value)
      return "The header " + quoted(header.name) + " has no value.";
    if (*place)
      return twice(header.name);
    *place = header.value;
  }
  std::ranges::sort(others);
  if (const auto again = std::ranges::adjacent_find(others); again != others.end())
    return twice(*again);
  return out;
}

/// The headers beside the envelope; the text is what is wrong with them, empty: nothing.
std::string read_beside(const texts<beside_count>& from, decoded_record& out) {
  const auto wrong = [](beside which, const char* why) {
    return "The header " + quoted(beside_names[which]) + ' ' + why + '.';
  };
  auto& r = *out.event;
  const auto number = from[epoch] ? read_number(*from[epoch], 0) : std::nullopt;
  if (!number)
    return wrong(epoch, "is missing or no number from 0 to 9223372036854775807");
  r.epoch = static_cast<std::uint64_t>(*number);
  if (from[open] != "true" && from[open] != "false")
    return wrong(open, "is missing or neither `true` nor `false`");
  r.open = from[open] == "true";
  if (from[due_ms]) {
    r.due_ms = read_number(*from[due_ms], std::numeric_limits<std::int64_t>::min());
    if (!r.due_ms)
      return wrong(due_ms, "is no number of milliseconds since 1970");
  }
  if (from[origin_text]) {
    if (from[origin_text]->empty() || !is_text(*from[origin_text]))
      return wrong(origin_text, "is empty, has a control character or is not in UTF-8");
    out.origin = *from[origin_text];
  }
  return {};
}

/// The payload out of what stands in the value behind the attributes.
std::optional<std::string> read_payload(std::string_view tail) {
  if (tail.starts_with(verbatim_begin) && tail.ends_with('}'))
    return std::string{tail.substr(verbatim_begin.size(), tail.size() - verbatim_begin.size() - 1)};
  if (tail.starts_with(base64_begin) && tail.ends_with(base64_end))
    return from_base64(
        tail.substr(base64_begin.size(), tail.size() - base64_begin.size() - base64_end.size()));
  return std::nullopt;
}

/// An event in JSON. It is read in the form in which it is written and in no other, so that readers
/// with any parser agree on every byte.
std::string read_structured(std::string_view value, envelope& out) {
  constexpr auto strange = "The value is no event in JSON as it is written.";
  const auto attributes_end =
      std::min({value.find(verbatim_begin), value.find(base64_begin), value.size()});
  auto payload = read_payload(value.substr(attributes_end));
  if (!payload)
    return strange;
  const auto document = json::parse(std::string{value.substr(0, attributes_end)} + '}');
  if (!document)
    return "The value is no JSON: " + document.error().message;
  texts<attribute_count> attributes;
  for (std::size_t a = 0; a < attribute_count; ++a)
    if (const auto found = document->root().find(json_name(a)); found && found->is_string())
      attributes[a] = found->string();
  envelope_reader reader{attributes};
  reader.read(out);
  if (!reader.problem().empty())
    return reader.problem();
  std::string again;
  append_cloud_event_attributes(again, out);
  if (again != value.substr(0, attributes_end))
    return strange;
  out.data = std::move(*payload);
  return {};
}

/// Envelope and payload, wherever they stand.
std::string read_event(const texts<attribute_count>& headers, std::string_view value,
                       envelope& out) {
  const auto content = headers[datacontenttype];
  if (content == json_type) {
    envelope_reader reader{headers};
    reader.read(out);
    out.data = value;
    return reader.problem();
  }
  if (content != structured_type)
    return "The header `content-type` is neither `application/json` nor"
           " `application/cloudevents+json`.";
  return read_structured(value, out);
}

/// True if a payload can stand among other JSON and be found again.
bool is_plain_json(std::string_view data) {
  const auto parsed = json::parse(data);
  return parsed && parsed->root().raw() == data;
}

} // namespace

std::string_view record_writer::keep(std::string_view text, std::string_view more) {
  const auto before = kept_.size();
  kept_.append(text).append(more);
  return std::string_view{kept_}.substr(before);
}

void record_writer::write_attributes(const envelope& e) {
  char raw[64];
  const auto put = [&](attribute a, std::string_view value) {
    if (!value.empty())
      headers_.push_back({header_names[a], value});
  };
  const auto hex = [&](const digest& d) { return keep({raw, write_hex(raw, d)}); };
  put(datacontenttype, json_type);
  put(specversion, "1.0");
  const auto whole_id = keep(e.stream.value, ":");
  const auto seq = keep({raw, write_decimal(raw, e.seq)});
  put(id, {whole_id.data(), whole_id.size() + seq.size()});
  put(source, keep(source_prefix, e.workspace.value));
  put(type, e.type);
  put(subject, e.stream.value);
  put(time_of_event, keep({raw, write_rfc3339(raw, e.time)}));
  put(sequence, seq);
  put(partitionkey, e.partition_key);
  put(causationid, e.causation_id);
  put(correlationid, e.correlation_id);
  put(principal, e.principal);
  put(traceparent, e.traceparent);
  put(datahash, hex(e.datahash));
  put(prevhash, hex(e.prevhash));
  put(eventhash, hex(e.eventhash));
}

void record_writer::write_beside(const record& r, std::string_view origin) {
  char raw[decimal_room + 1];
  headers_.push_back({beside_names[epoch], keep({raw, write_decimal(raw, r.epoch)})});
  headers_.push_back({beside_names[open], r.open ? "true" : "false"});
  if (r.due_ms)
    headers_.push_back(
        {beside_names[due_ms], keep({raw, std::to_chars(raw, std::end(raw), *r.due_ms).ptr})});
  if (!origin.empty())
    headers_.push_back({beside_names[origin_text], origin});
}

record_view record_writer::write(const record& r, std::string_view origin) {
  const auto& e = r.event;
  headers_.clear();
  kept_.clear();
  // The headers point into it: it must not move. A time, three hashes, three numbers fit well.
  kept_.reserve(e.stream.value.size() + e.workspace.value.size() + 512);
  if (mode_ == content_mode::binary) {
    write_attributes(e);
    write_beside(r, origin);
    return {e.partition_key, headers_, e.data};
  }
  headers_.push_back({content_type_header, structured_type});
  write_beside(r, origin);
  json_.clear();
  append_cloud_event_attributes(json_, e);
  if (is_plain_json(e.data))
    json_.append(verbatim_begin).append(e.data) += '}';
  else
    json_.append(base64_begin).append(to_base64(e.data)).append(base64_end);
  return {e.partition_key, headers_, json_};
}

result<decoded_record, std::string> decode(const record_view& r) {
  if (!r.value)
    return "The record has no value.";
  const auto headers = sort_headers(r.headers);
  if (!headers)
    return headers.error();
  decoded_record out{std::make_shared<record>(), {}};
  auto& e = out.event->event;
  if (auto problem = read_event(headers->attributes, *r.value, e); !problem.empty())
    return problem;
  if (auto problem = read_beside(headers->beside, out); !problem.empty())
    return problem;
  if (r.key != e.partition_key)
    return "The record's key is not the attribute `partitionkey`.";
  return out;
}

} // namespace runledger::kafka
