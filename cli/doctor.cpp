#include "cli/doctor_checks.hpp"
#include "cli/kafka_access.hpp"
#include "cli/output.hpp"
#include "cli/settings.hpp"
#include "cli/verb.hpp"
#include "events/json_writer.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <optional>

namespace runledger::cli {

namespace {

/// Needs no key: both endpoints are open.
finding check_server(const std::string& url) {
  const auto address = parse_server(url);
  if (!address)
    return {"server", health::fail, address.error(), ""};
  const client server{*address, ""};
  http_call call;
  call.patience = std::chrono::seconds{5};
  call.target = "/livez";
  const auto alive = server.send(call);
  if (!alive)
    return {"server", health::warn, alive.error().message, ""};
  call.target = "/readyz";
  const auto ready = server.send(call);
  if (!alive->ok() || !ready || !ready->ok())
    return {"server", health::fail,
            fmt::format("{} answers {} on /livez and {} on /readyz", address->url, alive->status,
                        ready ? ready->status : 0),
            "Its log says what it waits for."};
  return {"server", health::ok, fmt::format("{} is ready", address->url), ""};
}

/// What a running node says of those beside it; nothing: it is none, or does not run.
std::optional<finding> look_beside(const std::string& url) {
  const auto address = parse_server(url);
  if (!address)
    return std::nullopt;
  http_call call;
  call.patience = std::chrono::seconds{5};
  call.target = "/metrics";
  const auto metrics = client{*address, ""}.send(call);
  return metrics && metrics->ok() ? strangers_in(metrics->body) : std::nullopt;
}

std::string or_variable(const std::string& given, const char* variable, const char* fallback) {
  if (!given.empty())
    return given;
  const char* value = std::getenv(variable);
  return value && *value ? value : fallback;
}

std::string as_json(const std::vector<finding>& findings, bool healthy) {
  std::string out;
  json_writer writer{out};
  writer.begin_object().member("ok", healthy).key("checks").begin_array();
  for (const auto& one : findings)
    writer.begin_object()
        .member("check", one.check)
        .member("status", to_string(one.state))
        .member("detail", one.detail)
        .member("advice", one.advice)
        .end_object();
  writer.end_array().end_object();
  return out + "\n";
}

std::string as_text(const std::vector<finding>& findings) {
  const bool colour = wants_colour();
  std::string out;
  for (const auto& one : findings) {
    out += fmt::format(
        "{}  {:<16} {}\n",
        painted(fmt::format("{:<4}", to_string(one.state)), to_string(one.state), colour),
        one.check, printable(one.detail));
    if (!one.advice.empty())
      out += fmt::format("{:24}{}\n", "", printable(one.advice));
  }
  return out;
}

struct doctor_options : client_options {
  bool ready = false;
  std::string brokers, prefix;
  kafka_access kafka;
};

int examine(const doctor_options& asked) {
  const std::filesystem::path data = or_variable(asked.data, "RUNLEDGER_DATA", "./runledger-data");
  const auto server = or_variable(asked.server, "RUNLEDGER_SERVER", "http://127.0.0.1:8080");
  std::vector<finding> findings{check_server(server)};
  if (asked.ready) {
    const bool is_ready = findings.front().state == health::ok;
    print(asked.json ? as_json(findings, is_ready) : as_text(findings));
    return is_ready ? exit_done : exit_no;
  }
  for (auto& found : {check_data_folder(data), check_free_disk(data), check_key_file(data),
                      check_bubblewrap(), check_user_namespaces(), check_seccomp(), check_cgroups(),
                      check_file_limit(), check_sqlite(), check_clock()})
    findings.push_back(found);
  const auto known = kafka_settings_of(asked.kafka);
  const auto& brokers = asked.brokers.empty() ? known.brokers : asked.brokers;
  if (!brokers.empty())
    findings.push_back(check_kafka({brokers, known.properties, {}},
                                   asked.prefix.empty() ? known.topic_prefix : asked.prefix));
  if (!known.cluster_secret_file.empty())
    findings.push_back(check_cluster_secret(known.cluster_secret_file));
  if (auto beside = look_beside(server))
    findings.push_back(std::move(*beside));
  const bool healthy = std::none_of(findings.begin(), findings.end(),
                                    [](const finding& one) { return one.state == health::fail; });
  print(asked.json ? as_json(findings, healthy) : as_text(findings));
  return healthy ? exit_done : exit_no;
}

} // namespace

void add_doctor(CLI::App& app, command& chosen) {
  const auto asked = std::make_shared<doctor_options>();
  auto& verb =
      add_verb(app, chosen, "doctor",
               "Check this machine and the server; exit 1 if something fails", asked, examine);
  verb.add_flag("--ready", asked->ready, "Ask the server alone; exit 1 unless it is ready");
  verb.add_option("--kafka.brokers", asked->brokers,
                  "Look at the ledger's topics there (else the settings')");
  verb.add_option("--kafka.topic-prefix", asked->prefix,
                  "First part of their names (else the settings', else runledger)");
  add_kafka_access(verb, asked->kafka);
  verb.footer("Example:\n  runledger doctor --data /var/lib/runledger");
}

} // namespace runledger::cli
