// Goal: prove the decoding of escapes and the check for UTF-8.

#include "http/target.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

std::string decoded(std::string_view text, bool plus_is_space = false) {
  text_store store;
  const auto got = decode_escapes(text, plus_is_space, store);
  return got ? std::string{*got} : "refused";
}

TEST(Target, DecodesEscapes) {
  EXPECT_EQ(decoded("plain"), "plain");
  EXPECT_EQ(decoded("%41%5a%7A"), "AZz");
  EXPECT_EQ(decoded("a+b"), "a+b");
  EXPECT_EQ(decoded("a+b%2B", true), "a b+");
  EXPECT_EQ(decoded("%25%34%31"), "%41"); // Once only.
  for (const char* bad : {"%", "%4", "%4g", "%g4", "%%41", "%00", "%80", "%c3"})
    EXPECT_EQ(decoded(bad), "refused") << bad;
}

TEST(Target, DoesNotCopyWithoutNeed) {
  text_store store;
  const std::string_view text = "plain";
  EXPECT_EQ(decode_escapes(text, true, store)->data(), text.data());
  EXPECT_TRUE(store.empty());
}

TEST(Target, KnowsUtf8) {
  for (const char* good : {"", "ascii", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
                           "\xee\x80\x80", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf"})
    EXPECT_TRUE(is_utf8(good)) << good;
  for (const char* bad :
       {"\x80", "\xc0\xaf", "\xc1\xbf", "\xc2", "\xc2 ", "\xe0\x9f\xbf", "\xe0\xa0", "\xed\xa0\x80",
        "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xe2\x82"})
    EXPECT_FALSE(is_utf8(bad)) << bad;
}

} // namespace
} // namespace runledger::http
