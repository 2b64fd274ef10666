#pragma once

#include <string>

namespace runledger {

/// Names this start of the machine (/proc/sys/kernel/random/boot_id). Empty where it cannot be
/// read: then nothing that was not synced is trusted.
const std::string& boot_id();

/// Deletes a database file with its side files, if they exist.
void remove_database(const std::string& path);

} // namespace runledger
