#include "cli/json_changes.hpp"

#include <gtest/gtest.h>

namespace runledger::cli {

namespace {

std::string changes(const char* before, const char* after) {
  const auto old = json::parse(before), now = json::parse(after);
  std::string out;
  for (const auto& c : changes_between(old->root(), now->root()))
    out += c.pointer + ' ' + c.before.value_or("-") + ' ' + c.after.value_or("-") + '\n';
  return out;
}

} // namespace

// Goal: each member that differs is told once, with its place, whatever its kind.
TEST(json_changes, tell_members_by_pointer) {
  EXPECT_EQ(changes(R"({"a":1,"b":{"c":[1,2]}})", R"({"a":1,"b":{"c":[1,2]}})"), "");
  EXPECT_EQ(changes(R"({"a":1})", R"({"a":1.0})"), "/a 1 1.0\n");
  EXPECT_EQ(changes(R"({"a":null,"b":"x"})", R"({"a":"y","b":"x"})"), "/a null \"y\"\n");
  EXPECT_EQ(changes(R"({"a":1,"b":2})", R"({"b":2,"c":3})"), "/c - 3\n/a 1 -\n");
  EXPECT_EQ(changes(R"({"r":[{"s":"p"}]})", R"({"r":[{"s":"q"},{"s":"p"}]})"),
            "/r/0/s \"p\" \"q\"\n/r/1 - {\"s\":\"p\"}\n");
  EXPECT_EQ(changes(R"({"r":[1,2]})", R"({"r":[1]})"), "/r/1 2 -\n");
  EXPECT_EQ(changes(R"({"a":{"b":1}})", R"({"a":[1]})"), "/a {\"b\":1} [1]\n");
  EXPECT_EQ(changes(R"({"a/b":{"~":1}})", R"({"a/b":{"~":2}})"), "/a~1b/~0 1 2\n");
}

// Goal: what was not there before differs as a whole.
TEST(json_changes, from_nothing) {
  const auto now = json::parse("{\"a\":1}");
  const auto all = changes_between(std::nullopt, now->root());
  ASSERT_EQ(all.size(), 1u);
  EXPECT_EQ(all[0].pointer, "");
  EXPECT_FALSE(all[0].before);
  EXPECT_EQ(all[0].after, "{\"a\":1}");
}

} // namespace runledger::cli
