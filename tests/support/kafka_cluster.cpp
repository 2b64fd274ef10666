#include "tests/support/kafka_cluster.hpp"

#include "tests/support/server_process.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <stdexcept>
#include <utility>

namespace runledger::test {

namespace {

/// scripts/kafka ends with it where no Kafka can be had.
constexpr int not_to_be_had = 3;

} // namespace

spoken kafka_script(const std::string& words, const std::string& assignments) {
  return shell_apart(
      fmt::format("{} '{}/scripts/kafka' {}", assignments, RUNLEDGER_SOURCE_DIR, words));
}

kafka_cluster::kafka_cluster(kafka_cluster_options options) : options_(std::move(options)) {}

kafka_cluster::~kafka_cluster() {
  if (!std::filesystem::exists(folder_ / "cluster.json"))
    return;
  for (int broker = 1; broker <= options_.brokers; ++broker)
    if (pid(broker) > 0)
      kill(broker);
}

bool kafka_cluster::say(const std::string& words) {
  auto said = kafka_script(fmt::format("{} --data '{}'", words, folder_.path()));
  why_ = fmt::format("scripts/kafka {} ended with {}: {}", words, said.exit_code, said.error);
  if (said.exit_code == 0 && words.starts_with("start")) {
    address_ = said.out;
    while (address_.ends_with('\n'))
      address_.pop_back();
  }
  return said.exit_code == 0;
}

bool kafka_cluster::start() {
  auto words = fmt::format("start --until-pid {} --brokers {}", ::getpid(), options_.brokers);
  for (const auto& line : options_.properties)
    words += fmt::format(" --property '{}'", line);
  return say(words);
}

bool kafka_cluster::start(int broker) {
  return say(fmt::format("start --until-pid {} {}", ::getpid(), broker));
}
bool kafka_cluster::stop() {
  return say("stop");
}
bool kafka_cluster::stop(int broker) {
  return say(fmt::format("stop {}", broker));
}
bool kafka_cluster::kill(int broker) {
  return say(fmt::format("kill {}", broker));
}
bool kafka_cluster::pause(int broker) {
  return say(fmt::format("pause {}", broker));
}
bool kafka_cluster::resume(int broker) {
  return say(fmt::format("resume {}", broker));
}

int kafka_cluster::pid(int broker) const {
  const auto text = read_whole_file(folder_ / fmt::format("broker-{}/pid", broker));
  const int number = text.empty() ? -1 : std::atoi(text.c_str());
  // The file outlives the process.
  const auto command = read_whole_file(fmt::format("/proc/{}/cmdline", number));
  return command.find(folder_.path()) == std::string::npos ? -1 : number;
}

std::string why_no_kafka() {
  const auto unavailable = read_whole_file(RUNLEDGER_KAFKA_FOLDER "/unavailable");
  if (!unavailable.empty())
    return unavailable;
  const auto jars = kafka_script("jars");
  if (jars.exit_code != 0 && jars.exit_code != not_to_be_had)
    throw std::runtime_error{jars.error};
  return jars.exit_code == 0 ? std::string{} : jars.error;
}

void on_own_kafka::SetUp() {
  const auto why = why_no_kafka();
  if (!why.empty())
    GTEST_SKIP() << "no Kafka of its own: " << why;
}

} // namespace runledger::test
