#include "http/trusted_proxies.hpp"

#include <gtest/gtest.h>

namespace runledger::http {

namespace {

trusted_proxies with(const std::vector<std::string>& networks) {
  trusted_proxies out;
  for (const auto& each : networks)
    EXPECT_TRUE(out.add(each)) << each;
  return out;
}

address at(const char* text) {
  return net::ip::make_address(text);
}

/// The client of a request from the proxy 10.0.0.1 with these values of X-Forwarded-For.
std::string client_of(const std::vector<std::string>& values) {
  std::vector<header_field> fields{{"Host", "x"}};
  for (const auto& each : values)
    fields.push_back({"x-forwarded-for", each});
  return with({"10.0.0.0/8", "2001:db8:1::/48"})
      .origin_of(at("10.0.0.1"), fields)
      .client.to_string();
}

std::string scheme_of(const std::string& value) {
  const std::vector<header_field> fields{{"X-Forwarded-Proto", value}};
  return std::string{with({"10.0.0.1"}).origin_of(at("10.0.0.1"), fields).scheme};
}

} // namespace

// Goal: addresses and networks of both families hold exactly what they name.
TEST(TrustedProxies, HoldNetworks) {
  const auto some =
      with({"192.0.2.7", "10.0.0.0/8", "172.16.0.0/12", "2001:db8::/33", "2001:db9::1"});
  for (const char* inside : {"192.0.2.7", "10.0.0.0", "10.255.255.255", "172.31.255.255",
                             "2001:db8:7fff::1", "2001:db9::1", "::ffff:10.1.2.3"})
    EXPECT_TRUE(some.trusts(at(inside))) << inside;
  for (const char* outside : {"192.0.2.6", "192.0.2.8", "9.255.255.255", "11.0.0.0", "172.32.0.0",
                              "172.15.255.255", "2001:db8:8000::1", "2001:db9::2", "::1"})
    EXPECT_FALSE(some.trusts(at(outside))) << outside;
  EXPECT_TRUE(with({"0.0.0.0/0"}).trusts(at("203.0.113.9")));
  EXPECT_FALSE(with({"0.0.0.0/0"}).trusts(at("2001:db8::1"))) << "the other family";
  EXPECT_FALSE(trusted_proxies{}.trusts(at("127.0.0.1")));
}

// Goal: what is no network is refused with a reason, and a slip with what was meant.
TEST(TrustedProxies, RefuseWhatIsNoNetwork) {
  for (const char* bad : {"", "proxy.example", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "/8",
                          "10.0.0.0/8/8", "2001:db8::/129", "fe80::1%eth0", "10.0.0.1 "}) {
    const auto added = trusted_proxies{}.add(bad);
    ASSERT_FALSE(added) << bad;
    EXPECT_NE(added.error().find("no address or network"), std::string::npos) << bad;
  }
  const auto v4 = trusted_proxies{}.add("10.1.2.3/8");
  ASSERT_FALSE(v4);
  EXPECT_NE(v4.error().find("did you mean 10.0.0.0/8?"), std::string::npos) << v4.error();
  const auto v6 = trusted_proxies{}.add("2001:db8::1/32");
  ASSERT_FALSE(v6);
  EXPECT_NE(v6.error().find("did you mean 2001:db8::/32?"), std::string::npos) << v6.error();
}

// Goal: the client is the rightmost address that is no proxy of ours; what the client itself put in
// front of it counts for nothing.
TEST(TrustedProxies, FindTheClient) {
  EXPECT_EQ(client_of({}), "10.0.0.1");
  EXPECT_EQ(client_of({"203.0.113.9"}), "203.0.113.9");
  EXPECT_EQ(client_of({"198.51.100.1, 203.0.113.9"}), "203.0.113.9") << "the left one is a claim";
  EXPECT_EQ(client_of({"198.51.100.1, 203.0.113.9 ,10.1.1.1,\t10.2.2.2"}), "203.0.113.9");
  EXPECT_EQ(client_of({"198.51.100.1", "203.0.113.9, 10.1.1.1", "10.2.2.2"}), "203.0.113.9")
      << "several fields are one list";
  EXPECT_EQ(client_of({"2001:db8:2::5, 2001:db8:1::1"}), "2001:db8:2::5");
  EXPECT_EQ(client_of({"203.0.113.9:4711"}), "203.0.113.9");
  EXPECT_EQ(client_of({"[2001:db8:2::5]:4711"}), "2001:db8:2::5");
  EXPECT_EQ(client_of({"[2001:db8:2::5]"}), "2001:db8:2::5");
  EXPECT_EQ(client_of({"::ffff:203.0.113.9"}), "203.0.113.9");
  EXPECT_EQ(client_of({"10.3.3.3, 10.2.2.2"}), "10.3.3.3") << "all are ours: the first";
}

// Goal: where a hop is no address, the proxy that reported it is as far as anybody can tell.
TEST(TrustedProxies, StopAtNonsense) {
  for (const char* bad : {"unknown", "", ",", "203.0.113.9 10.0.0.2", "[2001:db8::1", "300.1.1.1",
                          "[2001:db8::1]x", "fe80::1%eth0", "_hidden"}) {
    EXPECT_EQ(client_of({bad}), "10.0.0.1") << bad;
    EXPECT_EQ(client_of({std::string{bad} + ", 10.2.2.2"}), "10.2.2.2") << bad;
    EXPECT_EQ(client_of({std::string{bad} + ", 203.0.113.9"}), "203.0.113.9") << bad;
  }
}

// Goal: of the scheme the client's side counts, and only the two that links can have.
TEST(TrustedProxies, FindTheScheme) {
  EXPECT_EQ(scheme_of("https"), "https");
  EXPECT_EQ(scheme_of("HTTP"), "http");
  EXPECT_EQ(scheme_of("https , http"), "https");
  EXPECT_EQ(scheme_of("javascript"), "");
  EXPECT_EQ(scheme_of(""), "");
}

// Goal: one client is an IPv4 address, however it is written, or a network of 64 bits.
TEST(TrustedProxies, TellClientsApart) {
  EXPECT_EQ(client_key(at("192.0.2.1")), client_key(at("::ffff:192.0.2.1")));
  EXPECT_NE(client_key(at("192.0.2.1")), client_key(at("192.0.2.2")));
  EXPECT_EQ(client_key(at("2001:db8::1")), client_key(at("2001:db8::ffff:1")));
  EXPECT_NE(client_key(at("2001:db8::1")), client_key(at("2001:db8:0:1::1")));
}

} // namespace runledger::http
