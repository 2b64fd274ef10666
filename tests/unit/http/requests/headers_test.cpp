#include "http/requests/idempotency.hpp"
#include "http/requests/preferences.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

// Goal: keys come bare or quoted, and nothing else passes.
TEST(idempotency_key, forms) {
  EXPECT_EQ(*read_idempotency_key("abc-1"), "abc-1");
  EXPECT_EQ(*read_idempotency_key("\"abc-1\""), "abc-1");
  EXPECT_EQ(*read_idempotency_key(R"("a\"b\\c")"), R"(a"b\c)");
  EXPECT_EQ(read_idempotency_key(std::string(255, 'k'))->size(), 255u);
  EXPECT_EQ(read_idempotency_key('"' + std::string(255, 'k') + '"')->size(), 255u);
  for (const auto& field :
       {std::string{}, std::string{"\"\""}, std::string{"a b"}, std::string{"\"a"},
        std::string{"a\""}, std::string{"\"a\"b\""}, std::string{"\"a\\\""},
        std::string{"\xc3\xa4"}, std::string(256, 'k')}) {
    const auto read = read_idempotency_key(field);
    ASSERT_FALSE(read) << field;
    EXPECT_EQ(read.error().status, status::bad_request);
    EXPECT_EQ(read.error().code, "bad_idempotency_key");
  }
}

// Goal: white space and the order of members do not make another body; numbers as written do.
TEST(idempotency_key, fingerprints) {
  const auto of = [](const char* text) { return fingerprint_of(json::parse(text)->root()); };
  EXPECT_EQ(of(R"({"a":1,"b":"\u0041"})"), of(R"({ "b" : "A", "a" : 1 })"));
  EXPECT_NE(of(R"({"a":1})"), of(R"({"a":1.0})"));
  EXPECT_NE(of(R"({"a":1})"), of(R"({"a":2})"));
}

// Goal: only a well-formed wait counts, the first one, and at most 300 seconds.
TEST(prefer, wait) {
  using std::chrono::seconds;
  EXPECT_EQ(read_wait("wait=10"), seconds{10});
  EXPECT_EQ(read_wait("respond-async, wait = 5; x=\"a,b\""), seconds{5});
  EXPECT_EQ(read_wait("Wait=\"7\""), seconds{7});
  EXPECT_EQ(read_wait("x=\"wait=1, wait=2\", wait=3"), seconds{3});
  EXPECT_EQ(read_wait("wait=1, wait=2"), seconds{1});
  EXPECT_EQ(read_wait("wait=0"), seconds{0});
  EXPECT_EQ(read_wait("wait=301"), seconds{300});
  EXPECT_EQ(read_wait("wait=99999999999999999999999"), seconds{300});
  for (const char* none : {"", "wait", "wait=", "wait=-1", "wait=1.5", "wait=a", "wait=1s",
                           "awaits=1", "return=minimal", "wait=\"1", ";;,,=\\\"wait=4"})
    EXPECT_FALSE(read_wait(none)) << none;
}

} // namespace
} // namespace runledger::http
