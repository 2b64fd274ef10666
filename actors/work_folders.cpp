#include "actors/work_folders.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <string_view>
#include <utility>

namespace runledger {

namespace {

constexpr mode_t folder_mode = 0700;
/// Of a folder that is to be removed.
constexpr std::string_view left_mark = ".left";

bool empty_folder(const std::string& path) {
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

std::string parent_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

} // namespace

work_folders::work_folders(std::string root, std::function<void(std::string)> remove)
    : root_(std::move(root)), remove_(std::move(remove)) {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::create_directories(root_, ignored);
  for (const auto& version : fs::directory_iterator{root_, ignored}) {
    if (!version.is_directory(ignored) || version.is_symlink(ignored))
      continue;
    for (const auto& run : fs::directory_iterator{version.path(), ignored})
      if (auto name = run.path().filename().string();
          is_id(name, "run_") || name.ends_with(left_mark))
        left_.emplace(std::move(name), run.path().string());
  }
}

bool work_folders::reuse_for(const std::string& path, const std::string& parent) {
  auto spares = spares_.find(parent);
  if (spares == spares_.end())
    return false;
  auto spare = std::move(spares->second.back());
  spares->second.pop_back();
  --spare_count_;
  if (spares->second.empty())
    spares_.erase(spares);
  return ::rename(spare.c_str(), path.c_str()) == 0;
}

result<void, std::string> work_folders::provide(const std::string& path, user by) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0)
    return {}; // Kept over the attempts of a run.
  auto parent = parent_of(path);
  if (by == user::pool && reuse_for(path, parent))
    return {};
  std::error_code ignored; // mkdir says it too.
  std::filesystem::create_directories(parent, ignored);
  if (::mkdir(path.c_str(), folder_mode) != 0)
    return "The work folder " + path + " could not be made: " + std::strerror(errno) + '.';
  return {};
}

void work_folders::give_back(const std::string& path, user by) {
  if (by == user::pool && spare_count_ < spares_max && empty_folder(path)) {
    spares_[parent_of(path)].push_back(path);
    ++spare_count_;
    return;
  }
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0)
    remove_(path);
}

/// Out of the way at once: a run that comes back from elsewhere may begin while they are removed.
void work_folders::remove_left() {
  for (auto& [run, path] : std::exchange(left_, {})) {
    auto aside = path.ends_with(left_mark) ? path : path + std::string{left_mark};
    if (path != aside && ::rename(path.c_str(), aside.c_str()) != 0)
      aside = path;
    remove_(std::move(aside));
  }
}

} // namespace runledger
