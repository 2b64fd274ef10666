#include "actors/harness/artifact.hpp"

#include "actors/harness/fd.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace runledger::harness {

namespace {

constexpr std::size_t copy_bytes = 256 << 10;

artifact_refusal refuse_path(std::string_view path, std::string_view why) {
  return {"`" + std::string{path.substr(0, 200)} + "` " + std::string{why}};
}

unique_fd open_beneath(int folder, const std::string& path, std::uint64_t flags,
                       std::uint64_t mode = 0) {
  open_how how{};
  how.flags = flags | O_CLOEXEC;
  how.mode = mode;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return unique_fd{
      static_cast<int>(::syscall(SYS_openat2, folder, path.c_str(), &how, sizeof how))};
}

unique_fd open_work_dir(const std::string& work_dir) {
  return unique_fd{::open(work_dir.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
}

std::string_view why_not_opened(int error) {
  switch (error) {
    case ELOOP:
      return "is or passes a symbolic link";
    case EXDEV:
      return "leaves the work folder";
    case ENOENT:
    case ENOTDIR:
      return "does not exist";
    default:
      return std::strerror(error);
  }
}

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode))
    return "is a folder, not a regular file";
  if (S_ISFIFO(mode))
    return "is a FIFO, not a regular file";
  if (S_ISLNK(mode))
    return "is or passes a symbolic link";
  return "is not a regular file";
}

/// `path` relative to the work folder; empty where it cannot lie in there.
std::string relative(const std::string& work_dir, std::string_view path) {
  if (path.starts_with('/')) {
    if (!path.starts_with(work_dir) || path.size() <= work_dir.size()
        || path[work_dir.size()] != '/')
      return {};
    path.remove_prefix(work_dir.size());
    while (path.starts_with('/'))
      path.remove_prefix(1);
  }
  return std::string{path};
}

} // namespace

artifact_file::artifact_file(artifact_file&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), size_(other.size_) {}

artifact_file& artifact_file::operator=(artifact_file&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

artifact_file::~artifact_file() {
  if (fd_ >= 0)
    ::close(fd_);
}

result<artifact_file, artifact_refusal>
take_artifact(const std::string& work_dir, std::string_view path, std::uint64_t max_bytes) {
  if (path.find('\0') != std::string_view::npos)
    return refuse_path("", "holds a NUL byte");
  auto below = relative(work_dir, path);
  if (below.empty())
    return refuse_path(path, "leaves the work folder");
  auto folder = open_work_dir(work_dir);
  if (!folder)
    return refuse_path(path, "has no work folder");
  // A path descriptor first: opening a FIFO or a device for reading has effects of its own.
  auto place = open_beneath(folder.raw(), below, O_PATH | O_NOFOLLOW);
  if (!place)
    return refuse_path(path, why_not_opened(errno));
  struct stat info {};
  if (::fstat(place.raw(), &info) != 0 || !S_ISREG(info.st_mode))
    return refuse_path(path, kind_of(info.st_mode));
  auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes)
    return refuse_path(path, "is larger than " + std::to_string(max_bytes) + " bytes");
  auto self = "/proc/self/fd/" + std::to_string(place.raw());
  int fd = ::open(self.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  if (fd < 0)
    return refuse_path(path, std::strerror(errno));
  return artifact_file{fd, size};
}

result<copied_artifact, artifact_refusal>
copy_artifact(const artifact_file& file, std::uint64_t max_bytes,
              const std::function<bool(std::string_view)>& write) {
  std::string buffer(copy_bytes, '\0');
  sha256_hasher hasher;
  copied_artifact out;
  while (true) {
    auto n = ::pread(file.fd(), buffer.data(), buffer.size(), static_cast<off_t>(out.size));
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return artifact_refusal{std::string{"reading the file: "} + std::strerror(errno)};
    if (n == 0)
      break;
    std::string_view piece{buffer.data(), static_cast<std::size_t>(n)};
    out.size += piece.size();
    if (out.size > max_bytes)
      return artifact_refusal{"the file grew beyond " + std::to_string(max_bytes) + " bytes"};
    hasher.update(piece);
    if (!write(piece))
      return artifact_refusal{"the copy could not be written"};
  }
  out.sha256 = hasher.finish();
  return out;
}

result<bool, artifact_refusal> store_work_file(const std::string& work_dir, const std::string& path,
                                               std::string_view content) {
  auto folder = open_work_dir(work_dir);
  if (!folder)
    return refuse_path(path, "has no work folder");
  for (auto slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    auto parent = path.substr(0, slash);
    auto before = parent.find_last_of('/');
    auto above = before == std::string::npos ? std::string{"."} : parent.substr(0, before);
    auto place = open_beneath(folder.raw(), above, O_PATH | O_DIRECTORY);
    auto name = before == std::string::npos ? parent : parent.substr(before + 1);
    if (!place || (::mkdirat(place.raw(), name.c_str(), 0700) != 0 && errno != EEXIST))
      return refuse_path(path, why_not_opened(errno));
  }
  auto last = path.find_last_of('/');
  auto parent = open_beneath(folder.raw(), last == std::string::npos ? "." : path.substr(0, last),
                             O_PATH | O_DIRECTORY);
  auto name = last == std::string::npos ? path : path.substr(last + 1);
  if (!parent || name.empty() || name == "." || name == "..")
    return refuse_path(path, why_not_opened(parent ? EINVAL : errno));
  ::unlinkat(parent.raw(), name.c_str(), 0);
  auto file = open_beneath(parent.raw(), name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (!file || !write_all(file.raw(), content))
    return refuse_path(path, std::strerror(errno));
  return true;
}

} // namespace runledger::harness
