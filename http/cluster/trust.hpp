#pragma once

#include "http/request.hpp"

#include <optional>
#include <string>
#include <string_view>

/// How nodes of a cluster know each other's requests, and say whose they are.
namespace runledger::http {

/// Header fields of a request that one node sends to another.
inline constexpr std::string_view principal_header = "Runledger-Principal";
inline constexpr std::string_view request_id_header = "Runledger-Request-Id";
inline constexpr std::string_view client_header = "Runledger-Client";
/// And of an answer: when a raw log was begun, in milliseconds since 1970.
inline constexpr std::string_view log_began_header = "Runledger-Log-Began";

/// Knows requests of nodes by the secret that all share. Immutable.
class cluster_trust {
public:
  explicit cluster_trust(std::string_view cluster_secret);
  /// The value of `Authorization` of this node's requests: `Runledger-Cluster <token>`.
  const std::string& authorization() const { return authorization_; }
  /// Whether a request with this value comes from a node. In constant time for one of that form.
  bool is_node(std::string_view authorization) const;
  /// Whether whoever sent this value takes itself for a node, of whatever cluster.
  static bool claims_to_be_node(std::string_view authorization);

private:
  std::string authorization_;
};

/// The secret behind signed links, the same on all nodes.
std::string link_secret_of(std::string_view cluster_secret);

/// `<key id>;<workspace>;<scopes as a number>`.
std::string principal_field(const principal& who);
/// Nothing: it is malformed.
std::optional<principal> read_principal(std::string_view field);

/// Whether a text is a request's id, as the edge makes them.
bool is_request_id(std::string_view text);

} // namespace runledger::http
