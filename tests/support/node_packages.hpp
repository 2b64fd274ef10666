#pragma once

#include "tests/support/shell.hpp"

#include <gtest/gtest.h>

#include <string>

namespace runledger::test {

/// For tests whose other half is a script for Node with packages from npm (tests/feed). They are
/// installed under build/, once; without them the tests are skipped, with the reason.
class with_node_packages : public ::testing::Test {
protected:
  void SetUp() override {
    const auto made = shell("'" + scripts() + "install' '" + folder() + "'");
    if (made.exit_code == 3)
      GTEST_SKIP() << made.out;
    ASSERT_EQ(made.exit_code, 0) << made.out;
  }

  static std::string scripts() { return RUNLEDGER_SOURCE_DIR "/tests/feed/"; }
  static std::string folder() { return RUNLEDGER_SOURCE_DIR "/build/feed-packages"; }

  /// Runs the first of some scripts, which are copied to where the packages are found.
  static spoken node(const std::string& files, const std::string& arguments) {
    return shell_apart("cd '" + folder() + "' && run=$(mktemp -d run-XXXXXX) && cp " + files
                       + " $run && set -- " + files + " && node $run/$(basename $1) " + arguments
                       + "; status=$?; rm -r $run; exit $status");
  }
};

} // namespace runledger::test
