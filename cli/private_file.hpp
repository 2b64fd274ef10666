#pragma once

#include "events/result.hpp"

#include <optional>
#include <string>

namespace runledger::cli {

/// Writes a file that only its owner can read (0600), whole or not at all, and durably. An error is
/// one sentence for the operator.
result<void, std::string> write_private_file(const std::string& path, const std::string& text);

/// The file's text without one line end at its end; nothing if it is not there or cannot be read.
std::optional<std::string> read_private_file(const std::string& path);

/// Whether somebody else than its owner and group may read or write the file; a file that is not
/// there is nobody's. Files under /run/secrets are their container's, whatever their mode.
bool is_open_to_others(const std::string& path);

} // namespace runledger::cli
