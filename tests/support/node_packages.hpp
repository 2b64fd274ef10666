#pragma once

#include "tests/support/shell.hpp"

#include <gtest/gtest.h>

#include <string>

/// For tests whose other half is a script for Node with packages from npm (tests/feed).
namespace runledger::test {

inline const std::string node_packages_folder = RUNLEDGER_SOURCE_DIR "/build/feed-packages";

/// Sees to it that the packages are installed, once, under build/. Empty: they are; else why they
/// cannot be had here, and the test is to be skipped. Other trouble fails the test.
inline std::string missing_node_packages() {
  const auto made =
      shell("'" RUNLEDGER_SOURCE_DIR "/tests/feed/install' '" + node_packages_folder + "'");
  if (made.exit_code == 3)
    return made.out;
  EXPECT_EQ(made.exit_code, 0) << made.out;
  return {};
}

/// Runs the first of these scripts (paths, separated by spaces), copied to where the packages are
/// found.
inline spoken run_node(const std::string& scripts, const std::string& arguments) {
  return shell_apart("cd '" + node_packages_folder + "' && run=$(mktemp -d run-XXXXXX) && cp "
                     + scripts + " $run && set -- " + scripts + " && node $run/$(basename $1) "
                     + arguments + "; status=$?; rm -r $run; exit $status");
}

} // namespace runledger::test
