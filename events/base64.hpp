#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace runledger {

/// Base64 with padding and without line ends (RFC 4648, section 4).
std::string to_base64(std::string_view bytes);
/// The bytes; nothing unless the text is exactly what to_base64 writes for them.
std::optional<std::string> from_base64(std::string_view text);

} // namespace runledger
