#include "cli/output.hpp"

#include <gtest/gtest.h>

namespace runledger::cli {

// Goal: nothing that a server or an agent wrote can steer the terminal.
TEST(output, control_characters_are_shown_not_sent) {
  EXPECT_EQ(printable("a\x1b[31mb\x07\r\n\tc\x7f"), "a\\x1b[31mb\\x07\\x0d\\n\\tc\\x7f");
  EXPECT_EQ(printable("a\nb\tc", true), "a\nb\tc");
  EXPECT_EQ(printable("\xC2\x9B"
                      "31m"),
            "\\x9b31m");
  EXPECT_EQ(printable("Größe ✓"), "Größe ✓");
}

TEST(output, columns_align_by_characters) {
  table rows{{"NAME", "STATUS", "ID"}};
  rows.row({"größer", "ok", "1"});
  rows.row({"x", "succeeded", "22"});
  EXPECT_EQ(rows.text(false), "NAME    STATUS     ID\n"
                              "größer  ok         1\n"
                              "x       succeeded  22\n");
  EXPECT_EQ(rows.text(true), "NAME    STATUS     ID\n"
                             "größer  \x1b[32mok         \x1b[0m1\n"
                             "x       \x1b[32msucceeded  \x1b[0m22\n");
}

TEST(output, times) {
  const auto now = *parse_rfc3339("2026-01-02T00:00:00Z");
  EXPECT_EQ(relative_time("2026-01-01T23:59:57.500Z", now), "2 s ago");
  EXPECT_EQ(relative_time("2026-01-01T23:50:00Z", now), "10 min ago");
  EXPECT_EQ(relative_time("2026-01-01T00:00:00Z", now), "24 h ago");
  EXPECT_EQ(relative_time("2025-12-28T00:00:00Z", now), "5 d ago");
  EXPECT_EQ(relative_time("2026-01-02T00:02:00Z", now), "in 2 min");
  EXPECT_EQ(relative_time("soon", now), "soon");
  const auto run = json::parse(R"({"a":"2026-01-01T00:00:00Z","b":"2026-01-01T00:00:01.250Z",)"
                               R"("c":"2026-01-01T00:02:05Z","d":null})");
  ASSERT_TRUE(run);
  EXPECT_EQ(duration_cell(run->root(), "a", "b"), "1.2 s");
  EXPECT_EQ(duration_cell(run->root(), "a", "c"), "2 min 5 s");
  EXPECT_EQ(duration_cell(run->root(), "a", "d"), "-");
}

TEST(output, values_over_lines) {
  const auto value =
      json::parse(R"({"a":[1,0.1000],"b":{},"c":"x\ny","d":[{"e":1},{"f":[]}],"g\"":null})");
  ASSERT_TRUE(value);
  EXPECT_EQ(pretty(value->root()), "{\n"
                                   "  \"a\": [1, 0.1000],\n"
                                   "  \"b\": {},\n"
                                   "  \"c\": \"x\\ny\",\n"
                                   "  \"d\": [\n"
                                   "    {\"e\": 1},\n"
                                   "    {\"f\": []}\n"
                                   "  ],\n"
                                   "  \"g\\\"\": null\n"
                                   "}");
}

} // namespace runledger::cli
