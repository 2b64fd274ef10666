#include "cli/output_file.hpp"

#include "cli/command.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>

namespace runledger::cli {

namespace {

constexpr std::size_t written_at_once_bytes = 256 * 1024;

std::atomic<const char*> the_unfinished{nullptr};

[[noreturn]] void refuse_existing(const std::string& path) {
  throw command_failure{exit_wrong, fmt::format("{} is there already: --force replaces it", path)};
}

} // namespace

output_file::output_file(std::string path, bool replace)
    : path_(std::move(path)), unfinished_(path_ + ".XXXXXX"), replace_(replace) {
  struct stat about {};
  if (::lstat(path_.c_str(), &about) == 0) {
    if (!replace_)
      refuse_existing(path_);
    if (!S_ISREG(about.st_mode))
      throw command_failure{exit_wrong, fmt::format("{} is no file", path_)};
  }
  fd_ = ::mkostemp(unfinished_.data(), O_CLOEXEC);
  if (fd_ < 0) {
    error_ = errno;
    throw command_failure{exit_wrong, complaint()};
  }
  the_unfinished = unfinished_.c_str();
}

output_file::~output_file() {
  if (fd_ >= 0)
    ::close(fd_);
  remove_now();
}

void output_file::remove_now() noexcept {
  if (const auto* path = the_unfinished.exchange(nullptr))
    ::unlink(path);
}

std::string output_file::folder() const {
  const auto parent = std::filesystem::path{path_}.parent_path();
  return parent.empty() ? "." : parent.string();
}

std::string output_file::complaint() const {
  return fmt::format("{} cannot be written: {}", path_, std::strerror(error_));
}

bool output_file::write(std::string_view bytes) {
  waiting_ += bytes;
  return waiting_.size() < written_at_once_bytes ? error_ == 0 : flush();
}

bool output_file::flush() {
  for (std::string_view left = waiting_; !left.empty() && error_ == 0;) {
    const auto n = ::write(fd_, left.data(), left.size());
    if (n >= 0)
      left.remove_prefix(static_cast<std::size_t>(n));
    else if (errno != EINTR)
      error_ = errno;
  }
  waiting_.clear();
  return error_ == 0;
}

void output_file::commit() {
  if (!flush())
    throw command_failure{exit_wrong, complaint()};
  const auto rename = [&](unsigned flags) {
    return ::renameat2(AT_FDCWD, unfinished_.c_str(), AT_FDCWD, path_.c_str(), flags) == 0;
  };
  const bool done = ::fsync(fd_) == 0
                    && (rename(replace_ ? 0 : RENAME_NOREPLACE)
                        // Some file systems cannot look and rename in one step.
                        || (errno == EINVAL && ::access(path_.c_str(), F_OK) != 0 && rename(0)));
  if (!done && errno == EEXIST)
    refuse_existing(path_);
  if (!done) {
    error_ = errno;
    throw command_failure{exit_wrong, complaint()};
  }
  the_unfinished = nullptr;
  if (const int folder_fd = ::open(folder().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      folder_fd >= 0) {
    ::fsync(folder_fd); // What it says of the name is not worth a failure.
    ::close(folder_fd);
  }
}

} // namespace runledger::cli
