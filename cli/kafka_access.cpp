#include "cli/kafka_access.hpp"

#include "cli/command.hpp"
#include "cli/output.hpp"

#include <CLI/CLI.hpp>
#include <string_view>

namespace runledger::cli {

namespace {

constexpr std::string_view property_flag = "--kafka.properties.";

[[noreturn]] void refuse_settings(const settings_error& error) {
  std::string text = "the settings cannot be used";
  for (const auto& problem : error.problems)
    text += "\n  " + printable(problem);
  throw command_failure{exit_wrong, text};
}

/// `--kafka.properties.NAME=VALUE`. False: the value is missing, or it is another flag.
bool take_properties(const std::vector<std::string>& rest, settings_sources* into) {
  for (const std::string_view flag : rest) {
    const auto equals = flag.find('=');
    if (!flag.starts_with(property_flag) || equals == flag.npos)
      return false;
    if (into != nullptr)
      into->flags.emplace_back(flag.substr(2, equals - 2), flag.substr(equals + 1));
  }
  return true;
}

} // namespace

void add_kafka_access(CLI::App& verb, kafka_access& into) {
  verb.add_option("--config", into.config,
                  "TOML file with the server's settings, for how Kafka is reached (else "
                  "RUNLEDGER_CONFIG, else none); also --kafka.properties.NAME=VALUE");
  verb.allow_extras();
  verb.parse_complete_callback([&verb, &into] {
    into.rest = verb.remaining();
    if (!take_properties(into.rest, nullptr))
      throw CLI::ExtrasError(verb.get_name(), into.rest);
  });
}

kafka_settings kafka_settings_of(const kafka_access& asked) {
  auto from = read_settings_sources(asked.config);
  if (!from)
    refuse_settings(from.error());
  take_properties(asked.rest, &*from);
  auto loaded = load_settings(*from);
  if (!loaded)
    refuse_settings(loaded.error());
  return std::move(loaded->values.kafka);
}

} // namespace runledger::cli
