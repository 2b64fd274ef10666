#pragma once

#include "events/result.hpp"
#include "http/problem.hpp"
#include "http/request.hpp"

#include <string>
#include <string_view>

namespace runledger::http {

/// Why nobody was recognised; the edge answers with this text.
struct auth_refusal {
  std::string detail;
  /// `unauthorized`, or `not_ready` while the keys are not known yet.
  fault why = fault::unauthorized;
};

/// The port through which the edge learns who asks. Called on the HTTP thread for every request of
/// a keyed route, so an implementation answers from memory and does not block. Must outlive the
/// server.
class authenticator {
public:
  virtual ~authenticator() = default;
  /// The values of the two header fields, `data()` null where absent.
  virtual result<principal_ptr, auth_refusal> authenticate(std::string_view authorization,
                                                           std::string_view api_key) = 0;
  /// False: a key may have been revoked elsewhere, so what changes something is refused with 503.
  virtual bool takes_writes() const { return true; }
};

/// The key in the header fields: that of `Authorization: Bearer`, else that of X-API-Key. Empty:
/// neither. Both, with different keys, count as none.
std::string_view presented_key(std::string_view authorization, std::string_view api_key);

} // namespace runledger::http
