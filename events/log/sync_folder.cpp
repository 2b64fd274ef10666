#include "events/log/sync_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace runledger {

bool sync_folder(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0)
    return false;
  const bool synced = ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  errno = why;
  return synced;
}

} // namespace runledger
