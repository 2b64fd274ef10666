#pragma once

#include "http/vocabulary.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace runledger::http {

/// What a key may do; a set of bits.
enum class scope : std::uint8_t {
  none = 0,
  read = 1,
  write = 2,
  budget = 4,
  worker = 8,
  admin = 16,
};
constexpr scope operator|(scope a, scope b) {
  return static_cast<scope>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}

/// Whether a key with the scopes `held` may do what needs `needed`: write and budget include read,
/// admin all.
constexpr bool allows(scope held, scope needed) {
  auto has = static_cast<unsigned>(held);
  if ((has & static_cast<unsigned>(scope::admin)) != 0)
    return true;
  if ((has & static_cast<unsigned>(scope::write | scope::budget)) != 0)
    has |= static_cast<unsigned>(scope::read);
  return (has & static_cast<unsigned>(needed)) == static_cast<unsigned>(needed);
}

/// Who asks.
struct principal {
  std::string key_id;
  std::string workspace;
  scope scopes = scope::none;
};
using principal_ptr = std::shared_ptr<const principal>;

/// One header field as received; the name in the sender's case, the value without surrounding white
/// space.
struct header_field {
  std::string_view name;
  std::string_view value;
};

/// One query parameter, decoded.
struct query_parameter {
  std::string_view name;
  std::string_view value;
};

/// One request, checked. It and every text it hands out are valid during the handler's call only: a
/// handler that answers later copies what it needs. HTTP thread only.
class request {
public:
  /// HEAD shows as HEAD; the route is that of GET.
  verb method() const { return method_; }
  /// The path as sent, without the query.
  std::string_view path() const { return path_; }
  /// The pattern of the route that matched: `/api/v1/runs/{id}`.
  std::string_view pattern() const { return pattern_; }
  /// A path parameter by its name in the pattern, decoded; never empty. Empty if the pattern lacks
  /// the name.
  std::string_view param(std::string_view name) const;
  /// The first query parameter of that name.
  std::optional<std::string_view> query(std::string_view name) const;
  /// All query parameters in the order of the request.
  std::span<const query_parameter> queries() const { return queries_; }
  /// The query as sent, without the question mark.
  std::string_view raw_query() const { return raw_query_; }
  /// The first header field of that name (any case). The guard refuses a second one of
  /// Authorization, X-API-Key, Content-Type, Idempotency-Key.
  std::optional<std::string_view> header(std::string_view name) const;
  /// All header fields in the order of the request.
  std::span<const header_field> headers() const { return fields_; }
  std::string_view body() const { return body_; }
  /// Made by the server, also sent as `Runledger-Request-Id`.
  std::string_view id() const { return id_; }
  /// Null on a public route. Keeping the pointer is allowed.
  const principal_ptr& caller() const { return caller_; }
  /// The address of the client, without the port: the peer's, or what a trusted proxy says.
  std::string_view client() const { return client_; }
  /// The scheme under which the client reached a trusted proxy; empty: it came directly, or the
  /// proxy does not say.
  std::string_view forwarded_scheme() const { return forwarded_scheme_; }

private:
  friend class connection;
  friend class router;
  friend struct head_reader;

  struct path_parameter {
    std::string_view name;
    std::string_view value;
  };
  static constexpr std::size_t max_params = 8;

  verb method_ = verb::get;
  std::string_view path_, pattern_, raw_query_, body_, id_, client_, forwarded_scheme_;
  std::array<path_parameter, max_params> params_{};
  std::size_t param_count_ = 0;
  std::vector<query_parameter> queries_;
  std::vector<header_field> fields_;
  std::vector<std::unique_ptr<std::string>> decoded_; // Backs the texts that held escapes.
  principal_ptr caller_;
};

} // namespace runledger::http
