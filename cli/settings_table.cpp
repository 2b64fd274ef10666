#include "cli/settings_table.hpp"

#include "cli/settings_values.hpp"

#include <algorithm>
#include <cctype>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <type_traits>

namespace runledger::cli {

namespace {

constexpr std::int64_t kib = 1024, mib = 1024 * kib, gib = 1024 * mib;
constexpr std::int64_t second = 1000, hour = 3600 * second;
constexpr std::int64_t million = 1'000'000;

/// Stores the member of the value that the field's type asks for.
template <class Field>
void assign(Field& field, const setting_value& value) {
  if constexpr (std::is_same_v<Field, bool>)
    field = value.truth;
  else if constexpr (std::is_integral_v<Field> || std::is_enum_v<Field>)
    field = static_cast<Field>(value.number);
  else if constexpr (std::is_same_v<Field, std::vector<std::string>>)
    field = value.list;
  else if constexpr (std::is_same_v<Field, endpoint>)
    field = value.address;
  else if constexpr (std::is_constructible_v<Field, std::string>)
    field = value.text;
  else
    field = Field{value.number}; // A duration of the key's unit.
}

template <auto Member>
void top(settings& s, const captures&, const setting_value& value) {
  assign(s.*Member, value);
}
template <auto Group, auto Member>
void in(settings& s, const captures&, const setting_value& value) {
  assign(s.*Group.*Member, value);
}
template <auto Member>
void resource(settings& s, const captures&, const setting_value& value) {
  assign(s.sandbox.resources.*Member, value);
}
/// A member of the entry that the first capture names.
template <auto Map, auto Member>
void named(settings& s, const captures& found, const setting_value& value) {
  assign((s.*Map)[found.front()].*Member, value);
}
void log_level_to(settings& s, const captures&, const setting_value& value) {
  assign(s.log.level, value);
}
void log_format_to(settings& s, const captures&, const setting_value& value) {
  assign(s.log.format, value);
}
void property(settings& s, const captures& found, const setting_value& value) {
  s.kafka.properties[found.front()] = value.text;
}
void header(settings& s, const captures& found, const setting_value& value) {
  s.tools[found.front()].headers_env[found.back()] = value.text;
}
void replies_to(settings& s, const captures& found, const setting_value& value) {
  s.models[found.front()].replies = value.replies;
}

using http_group = http_settings;
namespace setting_table {

using enum value_type;

// Name, type, default, least, most, choices, help, field.
const key_spec specs[] = {
    {"listen", address, "127.0.0.1:8080", 0, 0, "", "Where to listen", top<&settings::listen>},
    {"data", path, "./runledger-data", 0, 0, "", "Folder of the ledger, the views and the blobs",
     top<&settings::data>},
    {"ledger", choice, "sqlite", 0, 0, "sqlite|kafka", "Where the events are kept",
     top<&settings::ledger>},
    {"log.level", choice, "info", 0, 0, "trace|debug|info|warn|error", "Least level that is logged",
     log_level_to},
    {"log.format", choice, "auto", 0, 0, "auto|text|json", "auto: text on a terminal, else json",
     log_format_to},

    {"http.body_limit", size, "8MiB", kib, gib, "", "Largest request body",
     in<&settings::http, &http_group::body_limit>},
    {"http.bundle_limit", size, "512MiB", kib, 8 * gib, "", "Largest deployment bundle",
     in<&settings::http, &http_group::bundle_limit>},
    {"http.head_limit", size, "16KiB", kib, mib, "", "Largest request line with header fields",
     in<&settings::http, &http_group::head_limit>},
    {"http.max_fields", integer, "100", 1, 1000, "", "Most header fields of a request",
     in<&settings::http, &http_group::max_fields>},
    {"http.head_timeout", duration, "10s", 1, hour, "", "Time in which the head must arrive",
     in<&settings::http, &http_group::head_timeout>},
    {"http.body_timeout", duration, "30s", 1, hour, "",
     "Time after which a body that stalls is given up",
     in<&settings::http, &http_group::body_timeout>},
    {"http.max_connections", integer, "10000", 1, million, "", "Most open connections",
     in<&settings::http, &http_group::max_connections>},
    {"http.max_connections_per_address", integer, "1000", 1, million, "",
     "Most open connections of one client address",
     in<&settings::http, &http_group::max_connections_per_address>},
    {"http.tls.certificate", path, "", 0, 0, "",
     "PEM file of the certificate chain; with http.tls.key: HTTPS",
     in<&settings::http, &http_group::tls_certificate>},
    {"http.tls.key", path, "", 0, 0, "", "PEM file of the private key",
     in<&settings::http, &http_group::tls_key>},
    {"http.trusted_proxies", list, "", 0, 0, "",
     "Addresses or networks of proxies: their X-Forwarded-For and -Proto are believed",
     in<&settings::http, &http_group::trusted_proxies>},
    {"http.allow_plaintext", boolean, "false", 0, 0, "",
     "Listen beyond loopback without TLS: keys travel readable",
     in<&settings::http, &http_group::allow_plaintext>},

    {"kafka.brokers", text, "", 0, 0, "", "HOST:PORT of the first brokers, with commas",
     in<&settings::kafka, &kafka_settings::brokers>},
    {"kafka.topic_prefix", text, "runledger", 0, 0, "", "First part of every topic's name",
     in<&settings::kafka, &kafka_settings::topic_prefix>},
    {"kafka.partitions", integer, "12", 1, 10'000, "", "Partitions of a new topic",
     in<&settings::kafka, &kafka_settings::partitions>},
    {"kafka.replication", integer, "0", 0, 15, "",
     "Replicas of a new topic; 0: three, or as many as there are brokers",
     in<&settings::kafka, &kafka_settings::replication>},
    {"kafka.session_timeout_ms", integer, "6000", 500, 3600 * second, "",
     "Time without an answer of a broker after which writes are refused; a node that is silent "
     "for so long loses its partitions to the others",
     in<&settings::kafka, &kafka_settings::session_timeout_ms>},
    {"kafka.advertise", text, "", 0, 0, "",
     "URL under which other nodes reach this one (http://HOST:PORT): it shares the ledger with "
     "them",
     in<&settings::kafka, &kafka_settings::advertise>},
    {"kafka.cluster_secret_file", text, "", 0, 0, "",
     "File with the secret by which nodes know each other, the same on each",
     in<&settings::kafka, &kafka_settings::cluster_secret_file>},
    {"kafka.structured", boolean, "false", 0, 0, "",
     "Whether events are written as one JSON object each (CloudEvents' structured mode)",
     in<&settings::kafka, &kafka_settings::structured>},
    {"kafka.properties.**", text, "", 0, 0, "", "Passed to librdkafka", property},

    {"sandbox.mode", choice, "required", 0, 0, "required|best_effort|none",
     "Sandbox of recipes that name none", in<&settings::sandbox, &sandbox_settings::mode>},
    {"sandbox.allow_none", boolean, "false", 0, 0, "", "Whether a recipe may ask for no sandbox",
     in<&settings::sandbox, &sandbox_settings::allow_none>},
    {"sandbox.mount_roots", list, "", 0, 0, "", "Folders below which a recipe may mount",
     in<&settings::sandbox, &sandbox_settings::mount_roots>},
    {"sandbox.resources.memory_mb", integer, "1024", 1, million, "", "Memory of a harness",
     resource<&resource_settings::memory_mb>},
    {"sandbox.resources.cpu_seconds", integer, "0", 0, million, "", "Processor time; 0: no limit",
     resource<&resource_settings::cpu_seconds>},
    {"sandbox.resources.processes", integer, "256", 1, million, "", "Processes of a harness",
     resource<&resource_settings::processes>},
    {"sandbox.resources.disk_mb", integer, "1024", 1, million, "", "Size of a work folder",
     resource<&resource_settings::disk_mb>},

    // Agents wait for models more than they compute, so there may be more than cores; each may use
    // 1 GiB.
    {"runs.max_running", integer, "64", 1, 100'000, "", "Harness processes at a time",
     in<&settings::runs, &run_settings::max_running>},
    {"runs.max_queued", integer, "100000", 1, 100 * million, "", "Waiting runs of a workspace",
     in<&settings::runs, &run_settings::max_queued>},
    {"runs.drain_seconds", integer, "30", 0, 3600, "",
     "Time that harnesses get at the end of the server", in<&settings::runs, &run_settings::drain>},

    {"workers.lease", duration, "30s", 100, hour, "",
     "Time after which a silent remote worker loses its runs", top<&settings::worker_lease>},

    {"audit.refused_per_minute", integer, "12", 0, 6000, "",
     "Refused calls of a workspace that are recorded one by one, five times as many at once",
     top<&settings::audit_refused_per_minute>},
    {"audit.tree_head_events", integer, "1000", 1, million, "",
     "New events after which a tree head is signed",
     in<&settings::audit, &audit_settings::tree_head_events>},
    {"audit.tree_head_interval", duration, "60s", 1, 24 * hour, "",
     "Time after which fewer new events get one",
     in<&settings::audit, &audit_settings::tree_head_interval>},

    {"blobs.dir", path, "", 0, 0, "", "Folder of the blobs that all nodes share; empty: below data",
     top<&settings::blobs_dir>},
    {"budget.step_reserve_usd", money, "0.05", 0, million* million, "",
     "Dollars held back for a step whose cost is not known",
     top<&settings::step_reserve_micro_usd>},

    {"secrets.*.env", text, "", 0, 0, "", "Variable of the server that holds the secret",
     named<&settings::secrets, &secret_settings::env>},
    {"secrets.*.file", path, "", 0, 0, "", "File that holds the secret",
     named<&settings::secrets, &secret_settings::file>},
    {"secrets.*.workspaces", list, "", 0, 0, "", "Workspaces that may use it; none: all",
     named<&settings::secrets, &secret_settings::workspaces>},

    {"models.*.kind", choice, "", 0, 0, "openai|scripted",
     "An OpenAI-compatible endpoint, or a script",
     [](settings& s, const captures& found, const setting_value& v) {
       s.models[found[0]].kind = v.text;
     }},
    {"models.*.base_url", text, "", 0, 0, "", "Address of the endpoint",
     named<&settings::models, &model_settings::base_url>},
    {"models.*.api_key_env", text, "", 0, 0, "", "Variable of the server that holds the key",
     named<&settings::models, &model_settings::api_key_env>},
    {"models.*.model", text, "", 0, 0, "", "The endpoint's name of the model",
     named<&settings::models, &model_settings::model>},
    {"models.*.price_in_per_million_usd", money, "", 0, million* million, "",
     "Per million tokens in",
     named<&settings::models, &model_settings::price_in_micro_usd_per_million>},
    {"models.*.price_out_per_million_usd", money, "", 0, million* million, "",
     "Per million tokens out",
     named<&settings::models, &model_settings::price_out_micro_usd_per_million>},
    {"models.*.timeout", duration, "", 1, 24 * hour, "", "Time for one answer",
     named<&settings::models, &model_settings::timeout>},
    {"models.*.replies", replies, "", 0, 0, "", "Kind scripted: what it answers, in turn",
     replies_to},

    {"tools.*.kind", choice, "", 0, 0, "process|http|mcp", "How the tool is called",
     [](settings& s, const captures& found, const setting_value& v) {
       s.tools[found[0]].kind = v.text;
     }},
    {"tools.*.command", list, "", 0, 0, "", "Program and arguments",
     named<&settings::tools, &tool_settings::command>},
    {"tools.*.url", text, "", 0, 0, "", "Address of the tool",
     named<&settings::tools, &tool_settings::url>},
    {"tools.*.headers_env.*", text, "", 0, 0, "", "Variable that holds the header's value", header},
};

} // namespace setting_table
using setting_table::specs;

std::vector<std::string_view> parts_of(std::string_view dotted) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto dot = dotted.find('.');
    parts.push_back(dotted.substr(0, dot));
    if (dot == std::string_view::npos)
      return parts;
    dotted = dotted.substr(dot + 1);
  }
}

bool matches(std::string_view pattern, std::string_view key, captures& found) {
  found.clear();
  const auto wanted = parts_of(pattern);
  const auto given = parts_of(key);
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (i >= given.size() || given[i].empty())
      return false;
    if (wanted[i] == "**") {
      found.emplace_back(key.substr(static_cast<std::size_t>(given[i].data() - key.data())));
      return true;
    }
    if (wanted[i] == "*")
      found.emplace_back(given[i]);
    else if (wanted[i] != given[i])
      return false;
  }
  return wanted.size() == given.size();
}

std::string replaced(std::string_view text, char from, char to) {
  std::string out{text};
  std::replace(out.begin(), out.end(), from, to);
  return out;
}

std::string lower(std::string_view text) {
  std::string out{text};
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

/// The key of a variable that meets a pattern: the star is what stands between the fixed parts.
std::string key_by_pattern(std::string_view pattern, std::string_view rest) {
  const auto star = pattern.find('*');
  const auto head = replaced(pattern.substr(0, star), '.', '_');
  if (!rest.starts_with(head) || rest.size() == head.size())
    return {};
  auto middle = rest.substr(head.size());
  if (pattern.ends_with("**"))
    return fmt::format("{}{}", pattern.substr(0, star), replaced(middle, '_', '.'));
  const auto tail = pattern.substr(star + 1); // Such as `.env`; a second star has no variable.
  const auto suffix = replaced(tail, '.', '_');
  if (tail.find('*') != std::string_view::npos || !middle.ends_with(suffix)
      || middle.size() == suffix.size())
    return {};
  middle.remove_suffix(suffix.size());
  return fmt::format("{}{}{}", pattern.substr(0, star), middle, tail);
}

result<setting_value, bad_value> in_bounds(const key_spec& spec,
                                           const result<std::int64_t, bad_value>& read,
                                           std::string (*show)(std::int64_t)) {
  if (!read)
    return read.error();
  if (*read < spec.least || *read > spec.most)
    return bad_value{fmt::format("is between {} and {}", show(spec.least), show(spec.most))};
  setting_value value;
  value.number = *read;
  return value;
}

result<setting_value, bad_value> read_choice(const key_spec& spec, std::string_view text) {
  const auto names = split_list(replaced(spec.choices, '|', ','));
  const auto place = std::find(names.begin(), names.end(), text);
  if (place == names.end()) {
    auto why = fmt::format("is one of {}", fmt::join(names, ", "));
    if (const auto meant = nearest(text, names))
      why += fmt::format("; did you mean `{}`?", *meant);
    return bad_value{why};
  }
  setting_value value;
  value.text = text;
  value.number = place - names.begin();
  return value;
}

} // namespace

std::span<const key_spec> key_specs() {
  return specs;
}

const key_spec* find_spec(std::string_view key, captures& found) {
  for (const auto& spec : specs)
    if (matches(spec.name, key, found))
      return &spec;
  return nullptr;
}

std::string flag_name(std::string_view key) {
  return replaced(key, '_', '-');
}

std::string variable_name(std::string_view key) {
  auto name = "RUNLEDGER_" + replaced(key, '.', '_');
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return name;
}

std::string key_of_flag(std::string_view flag) {
  const auto parts = parts_of(flag);
  const bool has_name =
      parts.size() > 2 && (parts[0] == "secrets" || parts[0] == "models" || parts[0] == "tools");
  if (flag.starts_with("kafka.properties."))
    return std::string{flag};
  if (!has_name)
    return replaced(flag, '-', '_');
  auto key = fmt::format("{}.{}.{}", parts[0], parts[1], replaced(parts[2], '-', '_'));
  for (std::size_t i = 3; i < parts.size(); ++i)
    key += fmt::format(".{}", parts[i]);
  return key;
}

std::string key_of_variable(std::string_view variable) {
  for (const auto& spec : specs)
    if (!spec.is_pattern() && variable_name(spec.name) == variable)
      return std::string{spec.name};
  const std::string_view prefix = "RUNLEDGER_";
  if (!variable.starts_with(prefix))
    return {};
  const auto rest = lower(variable.substr(prefix.size()));
  for (const auto& spec : specs)
    if (spec.is_pattern())
      if (auto key = key_by_pattern(spec.name, rest); !key.empty())
        return key;
  return {};
}

result<setting_value, bad_value> read_text(const key_spec& spec, std::string_view text) {
  setting_value value;
  switch (spec.type) {
    case value_type::integer:
      return in_bounds(spec, parse_integer(text), [](std::int64_t n) { return std::to_string(n); });
    case value_type::size:
      return in_bounds(spec, parse_size(text), show_size);
    case value_type::duration:
      return in_bounds(spec, parse_duration(text), show_duration);
    case value_type::money:
      return in_bounds(spec, parse_money(text), show_money);
    case value_type::choice:
      return read_choice(spec, text);
    case value_type::boolean:
      if (const auto truth = parse_boolean(text))
        value.truth = *truth;
      else
        return truth.error();
      break;
    case value_type::address:
      if (const auto where = parse_endpoint(text))
        value.address = *where;
      else
        return where.error();
      break;
    case value_type::list:
      value.list = split_list(text);
      break;
    case value_type::replies:
      if (auto script = parse_replies(text))
        value.replies = *std::move(script);
      else
        return script.error();
      break;
    case value_type::text:
    case value_type::path:
      break;
  }
  value.text = text;
  return value;
}

std::string show_value(const key_spec& spec, const setting_value& value) {
  switch (spec.type) {
    case value_type::integer:
      return std::to_string(value.number);
    case value_type::size:
      return show_text(show_size(value.number));
    case value_type::duration:
      return show_text(show_duration(value.number));
    case value_type::money:
      return show_money(value.number);
    case value_type::boolean:
      return value.truth ? "true" : "false";
    case value_type::address:
      return show_text(to_string(value.address));
    case value_type::list: {
      std::vector<std::string> quoted;
      for (const auto& item : value.list)
        quoted.push_back(show_text(item));
      return fmt::format("[{}]", fmt::join(quoted, ", "));
    }
    case value_type::text:
    case value_type::path:
    case value_type::choice:
    case value_type::replies:
      return show_text(value.text);
  }
  return {};
}

} // namespace runledger::cli
