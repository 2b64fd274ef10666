#pragma once

#include <string>

namespace runledger {

/// Makes files that were created or renamed in the folder survive a crash of the machine. On false
/// errno says why. Any thread; blocks on the disk.
bool sync_folder(const std::string& path);

} // namespace runledger
