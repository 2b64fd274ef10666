#pragma once

#include <string>
#include <system_error>

namespace runledger {

/// What the system says about an error's number (`errno`): `No space left on device`. Any thread.
inline std::string errno_text(int number) {
  return std::error_code{number, std::generic_category()}.message();
}

} // namespace runledger
