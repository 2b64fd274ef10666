#include "cli/version.hpp"

#include <gtest/gtest.h>

namespace runledger::cli {

// Goal: the version names the project's own number first, whatever the commit is.
TEST(version, begins_with_the_number) {
  EXPECT_TRUE(version().starts_with("0.1.0"));
}

} // namespace runledger::cli
