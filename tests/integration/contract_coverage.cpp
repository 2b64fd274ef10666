#include "tests/integration/contract_description.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace runledger::contract {

// Goal: the tests of the contract have had every success that the description promises, from every
// operation; they leave what they saw in files, one for each of them.
TEST(contract_coverage, every_described_success_was_seen) {
  const char* folder = std::getenv("CONTRACT_SEEN_FOLDER");
  if (folder == nullptr)
    GTEST_SKIP() << "ctest runs this behind the tests of the contract";
  auto missing = description::of_the_api().described();
  ASSERT_FALSE(missing.empty());
  for (const auto& each : std::filesystem::directory_iterator{folder}) {
    std::ifstream in{each.path()};
    for (std::string line; std::getline(in, line);)
      missing.erase(line);
  }
  for (const auto& one : missing)
    ADD_FAILURE() << "no test of the contract got: " << one;
}

} // namespace runledger::contract
