#include "actors/harness/raw_log.hpp"

#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>

namespace runledger::harness {

void raw_log::open() {
  auto path = std::exchange(path_, {});
  auto folder = std::filesystem::path{path}.parent_path().string();
  ::mkdir(folder.c_str(), 0700);
  constexpr int flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
  file_ = unique_fd{::open(path.c_str(), flags, 0600)};
  struct stat info {};
  if (!file_ || ::fstat(file_.raw(), &info) != 0 || !S_ISREG(info.st_mode)) {
    file_.reset();
    return;
  }
  auto size = static_cast<std::uint64_t>(info.st_size);
  left_ = size < most_bytes_ ? most_bytes_ - size : 0;
}

void raw_log::append(std::string_view piece) {
  if (!path_.empty())
    open();
  if (!file_ || left_ == 0)
    return;
  if (piece.size() > left_) {
    write_all(file_.raw(), piece.substr(0, left_));
    write_all(file_.raw(), "\n[runledger: this log was cut here]\n");
    left_ = 0;
    return;
  }
  left_ -= piece.size();
  write_all(file_.raw(), piece);
}

} // namespace runledger::harness
