#include "actors/harness/mounts.hpp"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace runledger::harness {

namespace {

namespace fs = std::filesystem;

/// Where bubblewrap puts its new root together.
constexpr std::string_view new_root = "newroot";

/// Opens what is at `path` if no part of the path is a link.
unique_fd open_plainly(int folder, const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  return unique_fd{
      static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how))};
}

bool is_below(const fs::path& place, const std::string& root) {
  std::error_code error;
  auto base = fs::canonical(root, error);
  if (error)
    return false;
  auto [end, ignored] = std::mismatch(base.begin(), base.end(), place.begin(), place.end());
  return end == base.end();
}

/// NUL bytes would end an argument early, so that the rest became an option of its own.
bool is_absolute(const std::string& path) {
  return path.starts_with('/') && path.find('\0') == std::string::npos;
}

bool same_place(const unique_fd& one, const unique_fd& other) {
  struct stat a {
  }, b{};
  return ::fstat(one.raw(), &a) == 0 && ::fstat(other.raw(), &b) == 0 && a.st_dev == b.st_dev
         && a.st_ino == b.st_ino;
}

start_refusal changed(const std::string& source) {
  return {"sandbox_refused", "the folder " + source + " was replaced while it was mounted"};
}

} // namespace

result<std::vector<checked_mount>, start_refusal>
check_mounts(const std::vector<mount>& mounts, const std::vector<std::string>& roots) {
  std::vector<checked_mount> out;
  for (const auto& m : mounts) {
    checked_mount one;
    one.target = m.target.empty() ? m.source : m.target;
    one.writable = m.writable;
    if (!is_absolute(m.source) || !is_absolute(one.target))
      return start_refusal{"start_failed", "a mount is not an absolute path"};
    std::error_code error;
    auto place = fs::canonical(m.source, error);
    if (error)
      return start_refusal{"start_failed", "mount " + m.source + ": " + error.message()};
    if (std::ranges::none_of(roots, [&](const auto& root) { return is_below(place, root); }))
      return start_refusal{"sandbox_refused",
                           "the folder " + m.source + " is not below sandbox.mount_roots"};
    one.source = place.string();
    one.place = open_plainly(AT_FDCWD, one.source);
    if (!one.place)
      return changed(m.source);
    out.push_back(std::move(one));
  }
  return out;
}

result<bool, start_refusal> compare_mounts(pid_t inner, const std::vector<checked_mount>& mounts) {
  auto path = "/proc/" + std::to_string(inner) + "/root";
  unique_fd root{::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (!root)
    return start_refusal{"sandbox_refused", "the mounts of the sandbox cannot be looked at"};
  for (const auto& m : mounts) {
    auto mounted = open_plainly(root.raw(), std::string{new_root} + m.target);
    if (!mounted || !same_place(mounted, m.place))
      return changed(m.source);
  }
  return true;
}

} // namespace runledger::harness
