#include "events/log/wal_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>

namespace runledger {

namespace {

/// The byte of the shared memory on which every connection holds a read lock (os_unix.c:
/// UNIX_SHM_DMS).
constexpr std::int64_t open_mark = 128;
constexpr std::chrono::milliseconds longest_tick{20};

std::error_code last_error() {
  return {errno, std::generic_category()};
}

/// Reads the log's header; no log, or one that is too short, is zeros.
std::error_code read_header(const std::string& wal, file_pair& out) {
  int fd = ::open(wal.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return errno == ENOENT ? std::error_code{} : last_error();
  auto n = ::pread(fd, out.header.data(), out.header.size(), 0);
  auto ec = n < 0 ? last_error() : std::error_code{};
  ::close(fd);
  if (n != static_cast<ssize_t>(out.header.size()))
    out.header = {};
  return ec;
}

bool has_magic(const std::array<unsigned char, 32>& h) {
  return h[0] == 0x37 && h[1] == 0x7f && h[2] == 0x06 && (h[3] & 0xfe) == 0x82;
}

/// One line of /proc/locks: `5: POSIX  ADVISORY  READ 2148 fd:01:396 128 128`.
bool is_open_mark(const std::string& line, const std::string& file) {
  std::istringstream words{line};
  std::string number, kind, mode, access, pid, place, first, last;
  words >> number >> kind >> mode >> access >> pid >> place >> first >> last;
  auto number_of = [](const std::string& text) {
    std::int64_t out = 0;
    auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
    return ec == std::errc{} ? std::optional{out} : std::nullopt;
  };
  auto from = number_of(first), to = number_of(last);
  return (kind == "POSIX" || kind == "OFDLCK") && place == file && from && *from <= open_mark
         && (last == "EOF" || (to && *to >= open_mark));
}

/// As /proc/locks names it: device in hex, inode in decimal.
std::string lock_name(const struct stat& info) {
  char text[64];
  auto size = std::snprintf(text, sizeof text, "%02x:%02x:%llu", major(info.st_dev),
                            minor(info.st_dev), static_cast<unsigned long long>(info.st_ino));
  return {text, static_cast<std::size_t>(size)};
}

} // namespace

result<file_pair, std::error_code> look_at_pair(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0)
    return last_error();
  if (!S_ISREG(info.st_mode))
    return std::make_error_code(S_ISDIR(info.st_mode) ? std::errc::is_a_directory
                                                      : std::errc::invalid_argument);
  if (::access(path.c_str(), R_OK) != 0)
    return last_error();
  file_pair out;
  out.device = info.st_dev;
  out.inode = info.st_ino;
  out.size = info.st_size;
  out.changed = info.st_mtim;
  if (auto ec = read_header(path + "-wal", out))
    return ec;
  out.has_frames = has_magic(out.header);
  return out;
}

bool same_contents(const file_pair& a, const file_pair& b) {
  return a.device == b.device && a.inode == b.inode && a.size == b.size
         && a.changed.tv_sec == b.changed.tv_sec && a.changed.tv_nsec == b.changed.tv_nsec;
}

bool same_history(const file_pair& a, const file_pair& b) {
  if (a.device != b.device || a.inode != b.inode || a.header != b.header)
    return false;
  return a.has_frames || same_contents(a, b);
}

bool has_settled(const file_pair& seen) {
  using namespace std::chrono;
  auto changed = seconds{seen.changed.tv_sec} + nanoseconds{seen.changed.tv_nsec};
  auto age = system_clock::now().time_since_epoch() - changed;
  return age > longest_tick || age < -hours{1}; // Far ahead: another clock wrote it.
}

bool in_use_here(const std::string& path) {
  const auto memory = path + "-shm";
  struct stat info;
  if (::stat(memory.c_str(), &info) != 0 || ::access(memory.c_str(), R_OK | W_OK) != 0)
    return false;
  std::ifstream locks{"/proc/locks"};
  const auto file = lock_name(info);
  for (std::string line; std::getline(locks, line);)
    if (is_open_mark(line, file))
      return true;
  return false;
}

} // namespace runledger
