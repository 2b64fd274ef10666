// Goal: commands beside the server reach Kafka with the server's own settings.

#include "cli/kafka_access.hpp"
#include "tests/support/temp_folder.hpp"

#include <CLI/CLI.hpp>
#include <fstream>
#include <gtest/gtest.h>

namespace runledger::cli {
namespace {

kafka_access parsed(const std::string& line) {
  CLI::App app;
  auto& verb = *app.add_subcommand("verb");
  kafka_access out;
  add_kafka_access(verb, out);
  app.parse(line, false);
  return out;
}

// Goal: properties come from the flags and from the file, the flag wins; other flags are refused.
TEST(kafka_access, takes_properties_from_flags_and_file) {
  test::temp_folder folder;
  const auto file = folder / "runledger.toml";
  std::ofstream{file} << "[kafka.properties]\n\"security.protocol\" = \"SASL_SSL\"\n"
                         "\"sasl.username\" = \"u\"\n";
  auto found = kafka_settings_of(
      parsed("verb --config " + file + " --kafka.properties.security.protocol=SSL"));
  EXPECT_EQ(found.properties["security.protocol"], "SSL");
  EXPECT_EQ(found.properties["sasl.username"], "u");
  EXPECT_EQ(found.topic_prefix, "runledger");
  EXPECT_FALSE(found.structured);
  EXPECT_THROW(parsed("verb --nonsense=1"), CLI::ExtrasError);
  EXPECT_THROW(parsed("verb --kafka.properties.ssl.ca.location"), CLI::ExtrasError);
  EXPECT_THROW(parsed("verb more"), CLI::ExtrasError);
}

} // namespace
} // namespace runledger::cli
