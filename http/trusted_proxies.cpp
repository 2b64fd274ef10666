#include "http/trusted_proxies.hpp"

#include "http/trimmed.hpp"

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include <algorithm>
#include <optional>

namespace runledger::http {

namespace {

std::array<unsigned char, 16> bits_of(const address& any) {
  std::array<unsigned char, 16> out{};
  if (any.is_v6()) {
    const auto bytes = any.to_v6().to_bytes();
    std::ranges::copy(bytes, out.begin());
  } else {
    const auto bytes = any.to_v4().to_bytes();
    std::ranges::copy(bytes, out.begin());
  }
  return out;
}

/// Whether the first `length` bits are the same.
bool same_prefix(const std::array<unsigned char, 16>& a, const std::array<unsigned char, 16>& b,
                 unsigned length) {
  const auto whole = length / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin()))
    return false;
  const auto rest = length % 8;
  return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

std::optional<address> read_address(std::string_view text) {
  if (text.find('%') != text.npos) // A zone means something on the proxy's machine only.
    return std::nullopt;
  error_code bad;
  auto got = net::ip::make_address(std::string{text}, bad);
  return bad ? std::nullopt : std::optional{plain(got)};
}

/// `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
std::optional<address> read_hop(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('[')) {
    const auto end = text.find(']');
    if (end == text.npos || (end + 1 < text.size() && text[end + 1] != ':'))
      return std::nullopt;
    return read_address(text.substr(1, end - 1));
  }
  if (std::ranges::count(text, ':') == 1)
    text = text.substr(0, text.find(':'));
  return read_address(text);
}

std::string_view forwarded_scheme(std::span<const header_field> fields) {
  const auto found = std::ranges::find_if(
      fields, [](const header_field& f) { return same_text(f.name, "X-Forwarded-Proto"); });
  if (found == fields.end())
    return {};
  const auto first = trimmed(found->value.substr(0, found->value.find(',')));
  for (const std::string_view known : {"https", "http"})
    if (same_text(first, known))
      return known;
  return {};
}

} // namespace

address plain(const address& any) {
  if (any.is_v6() && any.to_v6().is_v4_mapped())
    return net::ip::make_address_v4(net::ip::v4_mapped, any.to_v6());
  return any;
}

std::string client_key(const address& any) {
  const auto bits = bits_of(plain(any));
  return {bits.begin(), bits.begin() + (plain(any).is_v6() ? 8 : 4)};
}

result<void, std::string> trusted_proxies::add(std::string_view text) {
  const std::string notation =
      "is no address or network, such as 192.0.2.1, 10.0.0.0/8 or 2001:db8::/32";
  const auto slash = text.find('/');
  if (slash == text.npos) {
    const auto one = read_address(text);
    if (!one)
      return notation;
    networks_.push_back({bits_of(*one), one->is_v6() ? 128U : 32U, one->is_v6()});
    return {};
  }
  const std::string whole{text};
  error_code bad;
  if (text.find(':') != text.npos) {
    const auto read = net::ip::make_network_v6(whole, bad);
    return add_network(read, bad ? notation : "");
  }
  const auto read = net::ip::make_network_v4(whole, bad);
  return add_network(read, bad ? notation : "");
}

template <class Network>
result<void, std::string> trusted_proxies::add_network(const Network& read, std::string problem) {
  if (!problem.empty())
    return problem;
  if (read.address() != read.network())
    return "has bits behind its prefix; did you mean " + read.canonical().to_string() + "?";
  const address first{read.network()};
  networks_.push_back({bits_of(first), read.prefix_length(), first.is_v6()});
  return {};
}

bool trusted_proxies::trusts(const address& who) const {
  const auto known = plain(who);
  const auto bits = bits_of(known);
  return std::ranges::any_of(networks_, [&](const network& n) {
    return n.v6 == known.is_v6() && same_prefix(n.bits, bits, n.length);
  });
}

request_origin trusted_proxies::origin_of(const address& proxy,
                                          std::span<const header_field> fields) const {
  request_origin out{plain(proxy), forwarded_scheme(fields)};
  for (auto field = fields.rbegin(); field != fields.rend(); ++field) {
    if (!same_text(field->name, "X-Forwarded-For"))
      continue;
    auto rest = field->value;
    for (bool more = true; more;) {
      const auto comma = rest.rfind(',');
      more = comma != rest.npos;
      const auto hop = read_hop(more ? rest.substr(comma + 1) : rest);
      if (!hop)
        return out; // `unknown` or the like: that hop is as far as anybody can tell.
      out.client = *hop;
      if (!trusts(*hop))
        return out;
      rest = rest.substr(0, more ? comma : 0);
    }
  }
  return out;
}

} // namespace runledger::http
