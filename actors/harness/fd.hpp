#pragma once

#include <string_view>
#include <unistd.h>
#include <utility>

namespace runledger::harness {

/// Owns a file descriptor; -1 is none.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~unique_fd() { reset(); }

  int raw() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  void reset() {
    if (fd_ >= 0)
      ::close(fd_);
    fd_ = -1;
  }

private:
  int fd_ = -1;
};

/// Two ends of a pipe, both close-on-exec; empty on failure.
struct pipe_ends {
  unique_fd read, write;
};
pipe_ends make_pipe();

/// A nameless file in memory that holds `content`, at its start; empty on failure.
unique_fd memory_file(std::string_view content);

/// Writes all of `content`; false on any error.
bool write_all(int fd, std::string_view content);

bool set_nonblocking(int fd);

} // namespace runledger::harness
