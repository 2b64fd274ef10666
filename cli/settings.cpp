#include "cli/settings.hpp"

#include "cli/settings_file.hpp"
#include "cli/settings_table.hpp"
#include "cli/settings_values.hpp"
#include "events/log/kafka/client.hpp"
#include "http/trusted_proxies.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <unistd.h>

extern char** environ;

namespace runledger::cli {

namespace {

/// Variables that mean something but are no settings.
constexpr std::string_view reserved[] = {
    "RUNLEDGER_API_KEY",    "RUNLEDGER_SERVER",  "RUNLEDGER_BOOTSTRAP_KEY",
    "RUNLEDGER_FAIL_POINT", "RUNLEDGER_CONFIG",  "RUNLEDGER_RUN_ID",
    "RUNLEDGER_SESSION_ID", "RUNLEDGER_ATTEMPT", "RUNLEDGER_WORKDIR",
};

bool is_reserved(std::string_view name) {
  return name.starts_with("RUNLEDGER_TEST_")
         || std::find(std::begin(reserved), std::end(reserved), name) != std::end(reserved);
}

/// Whether a value must not be shown: properties of librdkafka are where passwords stand.
bool is_confidential(std::string_view key) {
  if (!key.starts_with("kafka.properties."))
    return false;
  for (const std::string_view part : {"password", "secret", "key", "token", "jaas", "config"})
    if (key.find(part) != std::string_view::npos)
      return true;
  return false;
}

std::string suggestion(std::string_view key, std::string (*spelled)(std::string_view)) {
  std::vector<std::string> candidates;
  const auto name_end = key.find('.') == std::string_view::npos ? std::string_view::npos
                                                                : key.find('.', key.find('.') + 1);
  for (const auto& spec : key_specs()) {
    std::string candidate{spec.name};
    if (spec.is_pattern()) {
      // The caller's own name in the place of the star.
      const auto group = candidate.substr(0, candidate.find('.') + 1);
      if (name_end == std::string_view::npos || !key.starts_with(group) || candidate.ends_with('*'))
        continue;
      candidate = std::string{key.substr(0, name_end)} + candidate.substr(candidate.find('*') + 1);
    }
    candidates.push_back(std::move(candidate));
  }
  const auto meant = nearest(key, candidates);
  return meant ? fmt::format("; did you mean `{}`?", spelled(*meant)) : std::string{};
}

std::string as_it_is(std::string_view key) {
  return std::string{key};
}

bool is_good_name(std::string_view name) {
  return !name.empty() && name.size() <= 64
         && std::all_of(name.begin(), name.end(),
                        [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '-'; });
}

/// Whether keys stand below this name: a table that is empty in the file then says nothing.
bool is_group(std::string_view name) {
  return std::any_of(key_specs().begin(), key_specs().end(), [&](const key_spec& spec) {
    return spec.name.starts_with(name) && spec.name.substr(name.size()).starts_with('.');
  });
}

/// What a typed value of the file is worth to a key, as text; a type that does not fit is refused.
result<setting_value, bad_value> read_raw(const key_spec& spec, const raw_setting& raw) {
  const bool wants_list = spec.type == value_type::list;
  switch (raw.form) {
    case raw_form::untyped:
      return read_text(spec, raw.text);
    case raw_form::string:
      if (wants_list)
        return bad_value{"is a list, such as [\"a\", \"b\"]"};
      if (spec.type == value_type::boolean)
        return bad_value{"is true or false, without quotes"};
      if (spec.type == value_type::integer)
        return bad_value{"is a whole number, without quotes"};
      return read_text(spec, raw.text);
    case raw_form::integer:
    case raw_form::real:
    case raw_form::boolean:
      if (wants_list || spec.type == value_type::text || spec.type == value_type::path)
        return bad_value{wants_list ? "is a list, such as [\"a\", \"b\"]" : "is a text in quotes"};
      return read_text(spec, raw.text);
    case raw_form::strings:
    case raw_form::array:
      if (spec.type == value_type::replies)
        return read_text(spec, raw.text);
      if (wants_list && raw.form == raw_form::strings) {
        setting_value value;
        value.list = raw.list;
        return value;
      }
      return bad_value{wants_list ? "is a list of texts" : "is a single value, no list"};
    case raw_form::empty_table:
    case raw_form::other:
      return bad_value{"has a value of another type"};
  }
  return bad_value{"has a value of another type"};
}

/// Collects the sources, the weakest first, and checks the whole.
/// `http://host:port` or `https://host:port`.
bool is_node_url(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos
      || (url.substr(0, scheme) != "http" && url.substr(0, scheme) != "https"))
    return false;
  const auto rest = url.substr(scheme + 3);
  const auto colon = rest.rfind(':');
  return colon != std::string_view::npos && colon > 0 && colon + 1 < rest.size()
         && rest.find_first_not_of("0123456789", colon + 1) == std::string_view::npos
         && rest.size() - colon <= 6 && rest.find_first_of(" /?#@\t\"") == std::string_view::npos;
}

class loader {
public:
  void add_defaults() {
    for (const auto& spec : key_specs())
      if (!spec.is_pattern())
        take(spec, {},
             {std::string{spec.name},
              raw_form::untyped,
              std::string{spec.fallback},
              {},
              "default",
              "default"});
  }

  void add_file(const settings_sources& from) {
    auto read = read_toml(from.file_name, from.file_text);
    if (!read) {
      problems_ = read.error().problems; // A copy: error() returns by value. The file comes first.
      return;
    }
    for (const auto& raw : *read)
      if (raw.form != raw_form::empty_table || !is_group(raw.key))
        add(raw, fmt::format("unknown key `{}`", raw.key), as_it_is);
  }

  void add_environment(const settings_sources& from) {
    for (const auto& [name, value] : from.environment) {
      if (!name.starts_with("RUNLEDGER_") || is_reserved(name))
        continue;
      const auto key = key_of_variable(name);
      if (!key.empty()) {
        add({key, raw_form::untyped, value, {}, name, name}, "", as_it_is);
        continue;
      }
      std::vector<std::string> known;
      for (const auto& spec : key_specs())
        if (!spec.is_pattern())
          known.push_back(variable_name(spec.name));
      const auto meant = nearest(name, known);
      warnings_.push_back(fmt::format("{}: no setting has this variable{}", name,
                                      meant ? fmt::format("; did you mean {}?", *meant) : ""));
    }
  }

  void add_flags(const settings_sources& from) {
    for (const auto& [flag, value] : from.flags) {
      const auto place = "--" + flag;
      add({key_of_flag(flag), raw_form::untyped, value, {}, place, place}, "unknown flag",
          [](std::string_view key) { return "--" + flag_name(key); });
    }
  }

  result<loaded_settings, settings_error> finish();

private:
  struct entry {
    const key_spec* spec;
    captures found;
    setting_value value;
    std::string origin;
  };

  void add(const raw_setting& raw, const std::string& unknown,
           std::string (*spelled)(std::string_view)) {
    captures found;
    const auto* spec = find_spec(raw.key, found);
    if (!spec) {
      problem(raw.key_place, unknown + suggestion(raw.key, spelled));
      return;
    }
    if (!found.empty() && !spec->name.ends_with("**") && !is_good_name(found.front())) {
      problem(raw.key_place,
              fmt::format("the name `{}` has other characters than letters, digits, _ and -",
                          found.front()));
      return;
    }
    take(*spec, std::move(found), raw);
  }

  void take(const key_spec& spec, captures found, const raw_setting& raw) {
    auto value = read_raw(spec, raw);
    if (!value) {
      const auto shown = is_confidential(raw.key) || raw.text.empty()
                             ? std::string{}
                             : fmt::format(", not {}", show_text(raw.text));
      problem(raw.place, fmt::format("`{}` {}{}", raw.key, value.error().why, shown));
      return;
    }
    entries_.insert_or_assign(raw.key,
                              entry{&spec, std::move(found), *std::move(value), raw.place});
  }

  void problem(std::string_view place, std::string_view text) {
    problems_.push_back(fmt::format("{}: {}", place, text));
  }

  /// The place of the first key that begins so.
  std::string origin_of(const std::string& prefix) const {
    const auto at = entries_.lower_bound(prefix);
    return at == entries_.end() ? prefix : at->second.origin;
  }

  void check_edge(const settings& s) {
    if (s.http.tls_certificate.empty() != s.http.tls_key.empty()) {
      const bool has_key = s.http.tls_certificate.empty();
      problem(origin_of(has_key ? "http.tls.key" : "http.tls.certificate"),
              "`http.tls.certificate` and `http.tls.key` are given together or not at all");
    }
    if (!is_loopback(s.listen.host) && s.http.tls_certificate.empty() && !s.http.allow_plaintext)
      problem(origin_of("listen"),
              fmt::format("`listen` is {}, beyond this machine, and there is no TLS: keys would "
                          "travel readable. Set `http.tls.certificate` and `http.tls.key`, or "
                          "`http.allow_plaintext = true` behind a proxy that has TLS",
                          to_string(s.listen)));
    for (const auto& each : s.http.trusted_proxies)
      if (const auto added = http::trusted_proxies{}.add(each); !added)
        problem(origin_of("http.trusted_proxies"),
                fmt::format("`http.trusted_proxies`: {} {}", show_text(each), added.error()));
    if (s.sandbox.mode == sandbox_mode::none && !s.sandbox.allow_none)
      problem(origin_of("sandbox.mode"),
              "`sandbox.mode` is none, which needs `sandbox.allow_none`");
    if (s.ledger == ledger_kind::kafka && s.kafka.brokers.empty())
      problem(origin_of("ledger"), "`ledger` is kafka, which needs `kafka.brokers`");
    check_cluster(s);
    for (const auto& [name, value] : s.kafka.properties)
      if (const auto why = kafka::forbidden_property(name))
        problem(origin_of("kafka.properties." + name),
                fmt::format("`kafka.properties.{}` cannot be set: {}", name, *why));
  }

  void check_cluster(const settings& s) {
    const auto& url = s.kafka.advertise;
    if (url.empty())
      return;
    if (!is_node_url(url))
      problem(origin_of("kafka.advertise"),
              fmt::format("`kafka.advertise` is a URL without a path, http://HOST:PORT or "
                          "https://HOST:PORT, not {}",
                          show_text(url)));
    if (s.ledger != ledger_kind::kafka)
      problem(origin_of("kafka.advertise"),
              "`kafka.advertise` makes this server one of several, which needs `ledger = kafka`");
    else if (s.kafka.cluster_secret_file.empty())
      problem(origin_of("kafka.advertise"),
              "`kafka.advertise` needs `kafka.cluster_secret_file`: the nodes know each other by a "
              "secret, the same on each. To make one: (umask 077; openssl rand -hex 32 "
              ">cluster.secret)");
  }

  void check_secrets(const settings& s) {
    for (const auto& [name, secret] : s.secrets) {
      const auto place = origin_of("secrets." + name + ".");
      if (secret.env.empty() == secret.file.empty())
        problem(place, fmt::format("`secrets.{}` needs exactly one of `env` and `file`", name));
      else if (!secret.env.empty() && !std::getenv(secret.env.c_str()))
        warnings_.push_back(fmt::format("secrets.{}: the variable {} is not set; a run that needs "
                                        "the secret will fail",
                                        name, secret.env));
      else if (!secret.file.empty() && ::access(secret.file.c_str(), R_OK) != 0)
        warnings_.push_back(fmt::format("secrets.{}: {} cannot be read; a run that needs the "
                                        "secret will fail",
                                        name, secret.file));
    }
  }

  void check_models_and_tools(const settings& s) {
    for (const auto& [name, model] : s.models) {
      const auto place = origin_of("models." + name + ".");
      if (model.kind == "scripted" && model.replies.empty())
        problem(place, fmt::format("`models.{}` is scripted and needs `replies`", name));
      if (model.kind != "scripted" && (model.base_url.empty() || model.model.empty()))
        problem(place, fmt::format("`models.{}` needs `base_url` and `model`", name));
    }
    for (const auto& [name, tool] : s.tools) {
      const auto place = origin_of("tools." + name + ".");
      const bool by_command = !tool.command.empty(), by_url = !tool.url.empty();
      if (tool.kind.empty())
        problem(place, fmt::format("`tools.{}` needs `kind`", name));
      else if (tool.kind == "process" && !by_command)
        problem(place, fmt::format("`tools.{}` is a process and needs `command`", name));
      else if (tool.kind == "http" && !by_url)
        problem(place, fmt::format("`tools.{}` is of kind http and needs `url`", name));
      else if (tool.kind == "mcp" && by_command == by_url)
        problem(place, fmt::format("`tools.{}` needs exactly one of `command` and `url`", name));
    }
  }

  std::vector<shown_setting> shown() const {
    std::vector<shown_setting> lines;
    for (const auto& spec : key_specs())
      for (const auto& [key, held] : entries_)
        if (held.spec == &spec)
          lines.push_back(
              {key, is_confidential(key) ? "\"***\"" : show_value(spec, held.value), held.origin});
    return lines;
  }

  std::map<std::string, entry> entries_;
  std::vector<std::string> problems_, warnings_;
};

result<loaded_settings, settings_error> loader::finish() {
  loaded_settings loaded{};
  for (const auto& [key, held] : entries_)
    held.spec->store(loaded.values, held.found, held.value);
  // Only a whole is worth checking: a refused part would be reported twice.
  if (problems_.empty()) {
    check_edge(loaded.values);
    check_secrets(loaded.values);
    check_models_and_tools(loaded.values);
  }
  if (!problems_.empty())
    return settings_error{std::move(problems_)};
  loaded.shown = shown();
  loaded.warnings = std::move(warnings_);
  return loaded;
}

} // namespace

} // namespace runledger::cli

namespace runledger {

std::string to_string(const endpoint& where) {
  const bool is_v6 = where.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", where.host, where.port)
               : fmt::format("{}:{}", where.host, where.port);
}

bool is_loopback(std::string_view host) {
  const bool is_v4 = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || host == "::1" || (is_v4 && host.starts_with("127."));
}

result<loaded_settings, settings_error> load_settings(const settings_sources& from) {
  cli::loader all;
  all.add_defaults();
  if (!from.file_name.empty())
    all.add_file(from);
  all.add_environment(from);
  all.add_flags(from);
  return all.finish();
}

result<settings_sources, settings_error> read_settings_sources(std::string file) {
  settings_sources from;
  for (char** at = environ; *at; ++at) {
    const std::string_view line{*at};
    const auto equals = line.find('=');
    if (line.starts_with("RUNLEDGER_") && equals != std::string_view::npos)
      from.environment.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  if (file.empty())
    if (const char* named = std::getenv("RUNLEDGER_CONFIG"))
      file = named;
  if (file.empty())
    return from;
  std::ifstream in{file, std::ios::binary};
  from.file_text.assign(std::istreambuf_iterator<char>{in}, {});
  if (!in || in.bad())
    return settings_error{{fmt::format("{}: cannot be read", file)}};
  from.file_name = std::move(file);
  return from;
}

} // namespace runledger
