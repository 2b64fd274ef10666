#include "actors/harness/fd.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mman.h>

namespace runledger::harness {

pipe_ends make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return {};
  return {unique_fd{ends[0]}, unique_fd{ends[1]}};
}

unique_fd memory_file(std::string_view content) {
  unique_fd file{::memfd_create("runledger", MFD_CLOEXEC)};
  if (!file || !write_all(file.raw(), content) || ::lseek(file.raw(), 0, SEEK_SET) != 0)
    return {};
  return file;
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    auto n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n <= 0)
      return false;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool set_nonblocking(int fd) {
  int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

} // namespace runledger::harness
