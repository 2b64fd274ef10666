#include "actors/work_folders.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

namespace runledger {

namespace {

constexpr mode_t folder_mode = 0700;

/// Nothing in it, and nobody changed its mode or owner.
bool pristine(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)
      || (info.st_mode & 07777) != folder_mode || info.st_uid != ::geteuid())
    return false;
  DIR* dir = ::opendir(path.c_str());
  if (dir == nullptr)
    return false;
  bool empty = true;
  while (auto* entry = ::readdir(dir))
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
      empty = false;
      break;
    }
  ::closedir(dir);
  return empty;
}

} // namespace

work_folders::work_folders(std::string root, std::function<void(std::string)> remove)
    : root_(std::move(root)), remove_(std::move(remove)) {
  std::error_code ignored;
  std::filesystem::create_directories(root_, ignored);
  std::filesystem::remove_all(root_ + "/spare", ignored); // Left by an earlier server.
  std::filesystem::create_directory(root_ + "/spare", ignored);
}

std::string work_folders::spare_path(std::size_t number) const {
  return root_ + "/spare/" + std::to_string(number);
}

void work_folders::provide(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0)
    return; // Kept over the attempts of a run.
  if (!spares_.empty()) {
    auto number = spares_.back();
    if (::rename(spare_path(number).c_str(), path.c_str()) == 0) {
      spares_.pop_back();
      return;
    }
  }
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path{path}.parent_path(), ignored);
  ::mkdir(path.c_str(), folder_mode);
}

void work_folders::give_back(const std::string& path) {
  if (spares_.size() < spares_max && pristine(path)) {
    auto number = ++next_;
    if (::rename(path.c_str(), spare_path(number).c_str()) == 0) {
      spares_.push_back(number);
      return;
    }
  }
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0)
    remove_(path);
}

} // namespace runledger
