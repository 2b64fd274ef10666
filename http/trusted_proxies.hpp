#pragma once

#include "events/result.hpp"
#include "http/net.hpp"
#include "http/request.hpp"

#include <boost/asio/ip/address.hpp>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::http {

using address = net::ip::address;

/// IPv4 in IPv6's clothes (`::ffff:192.0.2.1`) as what it is.
address plain(const address& any);
/// What counts as one client: all of an IPv4 address, the network half of an IPv6 one. Bytes.
std::string client_key(const address& any);

/// Where a request comes from.
struct request_origin {
  address client;
  std::string_view scheme; ///< `http` or `https` as the proxy says; empty: it does not.
};

/// The proxies in front of the server, by address or network. What they say of the client is
/// believed; what anybody else says is not even looked at. Only `X-Forwarded-For` and
/// `X-Forwarded-Proto` count: docs/decisions/0046.
class trusted_proxies {
public:
  /// Adds `192.0.2.1`, `10.0.0.0/8` or `2001:db8::/32`. The error is the rest of a sentence that
  /// begins with the text.
  result<void, std::string> add(std::string_view text);

  bool empty() const { return networks_.empty(); }
  bool trusts(const address& who) const;

  /// The client of a request that `proxy`, one of those trusted, sent: the last address in
  /// X-Forwarded-For that is not a proxy of ours, because what stands left of it is the client's
  /// own claim. The first one if all are ours; `proxy` itself without any.
  request_origin origin_of(const address& proxy, std::span<const header_field> fields) const;

private:
  struct network {
    std::array<unsigned char, 16> bits{};
    unsigned length = 0; ///< Of the prefix, in bits.
    bool v6 = false;
  };
  template <class Network>
  result<void, std::string> add_network(const Network& read, std::string problem);

  std::vector<network> networks_;
};

} // namespace runledger::http
