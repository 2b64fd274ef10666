#include "http/cluster/trust.hpp"

#include "events/digest.hpp"

#include <algorithm>
#include <charconv>

namespace runledger::http {

namespace {

constexpr std::string_view node_scheme = "Runledger-Cluster ";

std::string_view next_part(std::string_view& rest) {
  const auto end = std::min(rest.find(';'), rest.size());
  const auto part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

} // namespace

cluster_trust::cluster_trust(std::string_view cluster_secret)
    : authorization_(std::string{node_scheme} + to_hex(hmac_sha256(cluster_secret, "internal"))) {}

bool cluster_trust::claims_to_be_node(std::string_view authorization) {
  return authorization.starts_with(node_scheme);
}

bool cluster_trust::is_node(std::string_view authorization) const {
  return claims_to_be_node(authorization) && equal_in_constant_time(authorization, authorization_);
}

std::string link_secret_of(std::string_view cluster_secret) {
  return to_hex(hmac_sha256(cluster_secret, "links"));
}

std::string principal_field(const principal& who) {
  return who.key_id + ';' + who.workspace + ';' + std::to_string(static_cast<unsigned>(who.scopes));
}

std::optional<principal> read_principal(std::string_view field) {
  principal out;
  out.key_id = next_part(field);
  out.workspace = next_part(field);
  std::uint8_t scopes = 0;
  const auto* last = field.data() + field.size();
  const auto [end, ec] = std::from_chars(field.data(), last, scopes);
  if (out.key_id.empty() || out.workspace.empty() || ec != std::errc{} || end != last)
    return std::nullopt;
  out.scopes = static_cast<scope>(scopes);
  return out;
}

bool is_request_id(std::string_view text) {
  constexpr std::size_t length = 30;
  return text.size() == length && text.starts_with("req_")
         && std::ranges::all_of(text.substr(4), [](char c) {
              return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
            });
}

} // namespace runledger::http
