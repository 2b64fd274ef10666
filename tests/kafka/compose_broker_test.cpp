// Goal: Kafka itself takes what compose.yaml tells its image.

#include "tests/support/kafka_cluster.hpp"
#include "tests/support/temp_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

namespace runledger::test {

TEST_F(on_own_kafka, takes_the_settings_of_compose) {
  const temp_folder folder;
  const auto format = [&](const std::string& change) {
    const auto file = folder / "server.properties";
    const auto made =
        shell(fmt::format("'{}/tests/integration/deployment_checks.py' --kafka-properties '{}' | "
                          "sed -e 's#^log.dirs=.*#log.dirs={}/data#' -e '{}' > '{}'",
                          RUNLEDGER_SOURCE_DIR, RUNLEDGER_SOURCE_DIR, folder.path(), change, file));
    EXPECT_EQ(made.exit_code, 0) << made.out;
    return kafka_script("tool kafka.tools.StorageTool format --ignore-formatted "
                        "-t AAAAAAAAAAAAAAAAAAAAAA -c '"
                        + file + "'");
  };
  const auto taken = format("");
  EXPECT_EQ(taken.exit_code, 0) << taken.out << taken.error;
  const auto refused = format("s/=NODES$/=NOWHERE/");
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.out + refused.error, ::testing::HasSubstr("NOWHERE"));
}

} // namespace runledger::test
