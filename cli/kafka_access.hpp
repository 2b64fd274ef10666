#pragma once

#include "cli/settings.hpp"
#include "events/log/kafka/client.hpp"

#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace runledger::cli {

/// How a command that works beside the server reaches the brokers: as the server does, from the
/// settings' file, the variables and `--kafka.properties.NAME=VALUE`.
struct kafka_access {
  std::string config;
  std::vector<std::string> rest; ///< Flags with a name in them, as typed.
};

/// `--config` and `--kafka.properties.*`. `into` must outlive the parsing.
void add_kafka_access(CLI::App& verb, kafka_access& into);

/// What the settings say of Kafka. Ends the command where they cannot be used (command_failure).
kafka_settings kafka_settings_of(const kafka_access& asked);

} // namespace runledger::cli
