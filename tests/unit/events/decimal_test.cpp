#include "events/decimal.hpp"

#include <gtest/gtest.h>

namespace runledger {
namespace {

// Goal: texts of one value give equal decimals.
TEST(decimal, normalises) {
  for (const char* text : {"100", "1e2", "1.00E+2", "0.1e3", "100.000"})
    EXPECT_EQ(parse_decimal(text), (decimal{false, "1", 2})) << text;
  for (const char* text : {"0", "-0", "0.000", "0e99", "-0E-5"})
    EXPECT_EQ(parse_decimal(text), decimal{}) << text;
  EXPECT_EQ(parse_decimal("-12.50"), (decimal{true, "125", -1}));
}

// Goal: order is exact, over signs, lengths and exponents.
TEST(decimal, compares) {
  const char* rising[] = {"-1e300",
                          "-2",
                          "-1.000000000000000000001",
                          "-1",
                          "-1e-300",
                          "0",
                          "1e-300",
                          "0.1",
                          "0.10000000000000000000001",
                          "1",
                          "1.5",
                          "12",
                          "12.000000000000000001",
                          "1e300"};
  for (std::size_t i = 0; i < std::size(rising); ++i)
    for (std::size_t k = 0; k < std::size(rising); ++k)
      EXPECT_EQ(compare(parse_decimal(rising[i]), parse_decimal(rising[k])), i <=> k)
          << rising[i] << " and " << rising[k];
}

// Goal: multiples are told exactly.
TEST(decimal, multiples) {
  const auto is = [](const char* a, const char* b) {
    return is_multiple(parse_decimal(a), parse_decimal(b));
  };
  EXPECT_TRUE(is("19.99", "0.01"));
  EXPECT_FALSE(is("19.995", "0.01"));
  EXPECT_TRUE(is("1e300", "7e-3") == false);
  EXPECT_TRUE(is("-14", "7"));
  EXPECT_TRUE(is("0", "7"));
  EXPECT_TRUE(is("999999999999999999999999999999", "9"));
  EXPECT_FALSE(is("999999999999999999999999999998", "999999999999999999"));
}

} // namespace
} // namespace runledger
