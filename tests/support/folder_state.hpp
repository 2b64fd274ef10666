#pragma once

#include "events/digest.hpp"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

namespace runledger::test {

/// Everything that can be told about the files of a folder and those below it, the folder itself
/// among them: which file it is, mode, size, time of change, contents. Equal states: nobody wrote
/// there. `counts` says which files are looked at.
inline std::map<std::string, std::string> folder_state(
    const std::string& folder,
    const std::function<bool(const std::string& name)>& counts = [](const auto&) { return true; }) {
  namespace fs = std::filesystem;
  std::map<std::string, std::string> out;
  auto note = [&](const fs::path& path, bool is_folder) {
    struct stat info {};
    ::stat(path.c_str(), &info);
    auto& text = out[fs::relative(path, folder).string()];
    for (auto n :
         {static_cast<long long>(info.st_ino), static_cast<long long>(info.st_mode),
          static_cast<long long>(info.st_size), static_cast<long long>(info.st_mtim.tv_sec),
          static_cast<long long>(info.st_mtim.tv_nsec)})
      text += std::to_string(n) + ' ';
    if (is_folder)
      return;
    std::ifstream in{path, std::ios::binary};
    text += to_hex(sha256(std::string{std::istreambuf_iterator<char>{in}, {}}));
  };
  note(folder, true);
  for (const auto& entry : fs::recursive_directory_iterator{folder})
    if (entry.is_directory() || (entry.is_regular_file() && counts(entry.path().filename())))
      note(entry.path(), entry.is_directory());
  return out;
}

} // namespace runledger::test
