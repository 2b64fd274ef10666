#include "events/log/data_folder_lock.hpp"

#include "events/errno_text.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>
#include <utility>

namespace runledger {

namespace {

/// The first line of the lock file: the pid of whoever holds it.
std::string read_owner(int fd) {
  char text[32];
  auto size = ::pread(fd, text, sizeof text, 0);
  std::string owner{text, size > 0 ? static_cast<std::size_t>(size) : 0};
  return owner.substr(0, owner.find('\n'));
}

bool alive(const std::string& pid) {
  const auto number = static_cast<pid_t>(std::atol(pid.c_str()));
  return number > 0 && (::kill(number, 0) == 0 || errno != ESRCH);
}

/// A server that was killed just as it spawned a process leaves the lock to that child, until the
/// child becomes another program. So it is worth a short wait where the owner is gone.
bool take_lock(int fd) { // On false errno says why.
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{2};
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return false;
    if (alive(read_owner(fd)) || std::chrono::steady_clock::now() >= until) {
      errno = EWOULDBLOCK;
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return true;
}

} // namespace

result<data_folder_lock, std::string> data_folder_lock::acquire(const std::string& folder,
                                                                bool* in_use) {
  std::error_code made;
  if (!std::filesystem::exists(folder, made)) {
    std::filesystem::create_directories(folder, made);
    if (!made)
      ::chmod(folder.c_str(), 0700);
  }
  auto path = folder + "/lock";
  int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return "the data folder " + folder + " cannot be used: " + errno_text(errno);
  data_folder_lock lock{fd};
  if (!take_lock(fd)) {
    if (errno != EWOULDBLOCK)
      return "the data folder " + folder + " cannot be locked: " + errno_text(errno);
    if (in_use != nullptr)
      *in_use = true;
    return "the data folder " + folder + " is in use by another server (pid " + read_owner(fd)
           + ")";
  }
  // The pid is a courtesy: a full disk must not keep the server from starting.
  auto owner = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd, 0) == 0) [[maybe_unused]]
    auto written = ::pwrite(fd, owner.data(), owner.size(), 0);
  return lock;
}

data_folder_lock::data_folder_lock(data_folder_lock&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)) {}

data_folder_lock& data_folder_lock::operator=(data_folder_lock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

data_folder_lock::~data_folder_lock() {
  if (fd_ >= 0)
    ::close(fd_);
}

} // namespace runledger
