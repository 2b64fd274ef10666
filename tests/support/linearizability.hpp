#pragma once

#include "tests/support/shell.hpp"

#include <gtest/gtest.h>

#include <string>

/// For tests that let tests/linearizability judge histories.
namespace runledger::test {

inline const std::string linearizability_folder = RUNLEDGER_SOURCE_DIR "/build/linearizability";
/// The checker; there once missing_checker() has returned nothing.
inline const std::string linearizability_checker = linearizability_folder + "/linearizability";

/// Sees to it that the checker is built, once, under build/. Empty: it is; else why it cannot be
/// had here. Other trouble fails the test.
inline std::string missing_checker() {
  const auto made = shell("'" RUNLEDGER_SOURCE_DIR "/tests/linearizability/install' '"
                          + linearizability_folder + "'");
  if (made.exit_code == 3)
    return made.out;
  EXPECT_EQ(made.exit_code, 0) << made.out;
  return {};
}

} // namespace runledger::test
