#include "actors/harness/disk_usage.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <limits>
#include <linux/openat2.h>
#include <string_view>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace runledger::harness {

namespace {

constexpr std::size_t max_pending = 1'000'000;
constexpr std::uint64_t endless = std::numeric_limits<std::uint64_t>::max();

int open_folder(int root, const std::string& path) {
  open_how how{};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
}

} // namespace

disk_usage::disk_usage(std::vector<std::string> folders) : roots_(std::move(folders)) {}

bool disk_usage::open_next() {
  if (pending_.empty()) {
    if (roots_.empty())
      return false;
    root_ = unique_fd{::open(roots_.back().c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    roots_.pop_back();
    if (root_)
      pending_.emplace_back(".");
    return true;
  }
  path_ = std::move(pending_.back());
  pending_.pop_back();
  int fd = open_folder(root_.raw(), path_);
  if (fd < 0) {
    if (errno == ENAMETOOLONG)
      bytes_ = endless;
    return true;
  }
  folder_.reset(::fdopendir(fd));
  if (!folder_)
    ::close(fd);
  return true;
}

void disk_usage::look_at(const dirent& entry) {
  std::string_view name = entry.d_name;
  struct stat info {};
  if (name == "." || name == ".."
      || ::fstatat(::dirfd(folder_.get()), entry.d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
    return;
  auto size = std::max<std::uint64_t>(static_cast<std::uint64_t>(info.st_blocks), 1) * 512;
  if (bytes_ != endless)
    bytes_ += size;
  if (!S_ISDIR(info.st_mode))
    return;
  if (pending_.size() >= max_pending)
    bytes_ = endless;
  else
    pending_.push_back(path_ + "/" + entry.d_name);
}

std::optional<std::uint64_t> disk_usage::advance(int entries) {
  for (int i = 0; i < entries; ++i) {
    if (bytes_ == endless)
      return bytes_;
    if (!folder_) {
      if (!open_next())
        return bytes_;
      continue;
    }
    if (auto* entry = ::readdir(folder_.get()))
      look_at(*entry);
    else
      folder_.reset();
  }
  return std::nullopt;
}

} // namespace runledger::harness
