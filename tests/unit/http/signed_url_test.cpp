#include "http/signed_url.hpp"

#include <gtest/gtest.h>

namespace runledger::http {
namespace {

struct parts {
  std::string expires, signature;
};
parts parts_of(const std::string& query) {
  const auto amp = query.find('&');
  return {query.substr(8, amp - 8), query.substr(amp + 11)};
}

// Goal: a link works for its method and path, until its time, with its own signature, and not else.
TEST(signed_url, is_bound_to_all_of_it) {
  const url_signer signer{std::string(64, 's')}, other{std::string(64, 't')};
  const auto now = from_ms(1'700'000'000'000);
  const auto [expires, signature] =
      parts_of(signer.query("GET", "/log", now + std::chrono::seconds{900}));
  EXPECT_EQ(expires, "1700000900");
  EXPECT_TRUE(signer.check("GET", "/log", expires, signature, now));
  EXPECT_TRUE(signer.check("GET", "/log", expires, signature, now + std::chrono::seconds{899}));
  EXPECT_FALSE(signer.check("GET", "/log", expires, signature, now + std::chrono::seconds{900}));
  EXPECT_FALSE(signer.check("PUT", "/log", expires, signature, now));
  EXPECT_FALSE(signer.check("GET", "/log2", expires, signature, now));
  EXPECT_FALSE(signer.check("GET", "/log", "1700009999", signature, now));
  EXPECT_FALSE(signer.check("GET", "/log", expires, signature + "0", now));
  EXPECT_FALSE(signer.check("GET", "/log", expires, "", now));
  EXPECT_FALSE(signer.check("GET", "/log", "", signature, now));
  EXPECT_FALSE(signer.check("GET", "/log", expires + " ", signature, now));
  EXPECT_FALSE(other.check("GET", "/log", expires, signature, now));
}

} // namespace
} // namespace runledger::http
