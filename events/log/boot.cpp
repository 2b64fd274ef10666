#include "events/log/boot.hpp"

#include <unistd.h>

#include <fstream>

namespace runledger {

const std::string& boot_id() {
  static const std::string id = [] {
    std::string line;
    std::ifstream file{"/proc/sys/kernel/random/boot_id"};
    std::getline(file, line);
    return line;
  }();
  return id;
}

void remove_database(const std::string& path) {
  for (const char* side : {"-wal", "-shm", "-journal", ""})
    ::unlink((path + side).c_str());
}

} // namespace runledger
