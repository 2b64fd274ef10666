#include "cli/private_file.hpp"

#include "events/log/sync_folder.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>

namespace runledger::cli {

namespace {

std::string complaint(const std::string& path) {
  return fmt::format("{} cannot be written: {}", path, std::strerror(errno));
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(fd, text.data(), text.size());
    if (n < 0)
      return false;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return ::fsync(fd) == 0;
}

bool sync_folder_of(const std::string& path) {
  return sync_folder(std::filesystem::path{path}.parent_path().string());
}

} // namespace

result<void, std::string> write_private_file(const std::string& path, const std::string& text) {
  const auto unfinished = path + ".new";
  const int fd =
      ::open(unfinished.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0)
    return complaint(unfinished);
  const bool written = ::fchmod(fd, 0600) == 0 && write_all(fd, text);
  ::close(fd);
  if (!written || std::rename(unfinished.c_str(), path.c_str()) != 0 || !sync_folder_of(path))
    return complaint(path);
  return {};
}

std::optional<std::string> read_private_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file)
    return std::nullopt;
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  if (text.ends_with('\n'))
    text.pop_back();
  return text;
}

bool is_open_to_others(const std::string& path) {
  struct stat file {};
  return ::stat(path.c_str(), &file) == 0 && (file.st_mode & S_IRWXO) != 0
         && !path.starts_with("/run/secrets/");
}

} // namespace runledger::cli
