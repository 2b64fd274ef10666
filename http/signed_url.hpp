#pragma once

#include "events/time.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace runledger::http {

/// Makes and checks links that work without a key for a while: HMAC-SHA-256 over method, path and
/// expiry, under a secret of the server's. Immutable; any thread.
class url_signer {
public:
  /// `secret`: 32 bytes or more.
  explicit url_signer(std::string secret) : secret_(std::move(secret)) {}

  /// The query that makes `method path` work until `expires`: `expires=...&signature=...`.
  std::string query(std::string_view method, std::string_view path, timestamp expires) const;

  /// Whether the two query parameters are what query() wrote, and their time is not over.
  bool check(std::string_view method, std::string_view path, std::string_view expires,
             std::string_view signature, timestamp now) const;

private:
  std::string sign(std::string_view method, std::string_view path, std::string_view expires) const;
  std::string secret_;
};

} // namespace runledger::http
