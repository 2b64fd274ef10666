#pragma once

#include "events/result.hpp"
#include "http/context.hpp"

#include <functional>
#include <optional>
#include <string>

namespace runledger::cli {

/// Whether a text can be given as a key: 16 to 256 visible ASCII characters.
bool is_possible_key(std::string_view text);

/// Why there is no workspace or key yet.
struct admin_failure {
  std::string detail;   ///< One sentence for the operator.
  bool passing = false; ///< Another node has to do it, or the ledger cannot be written now.
};

/// Sees to it that there is a workspace `default` and an admin key that opens: `given`, of which
/// only the hash is kept, or, if no key of the server's has the scope admin, a new one in
/// DATA/admin.key (0600), which is written before the key opens anything. So it also helps where
/// the last admin key was revoked or has expired.
///
/// Among several nodes each may be asked to: whoever holds what is needed does it, and the others
/// fail with `passing` until they see it done.
///
/// The keys are loaded. `done` is called once, on the HTTP thread.
void ensure_admin(http::route_context& c, std::optional<std::string> given,
                  std::function<void(result<void, admin_failure>)> done);

} // namespace runledger::cli
