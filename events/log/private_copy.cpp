#include "events/log/private_copy.hpp"

#include "events/errno_text.hpp"
#include "events/log/wal_file.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>

namespace runledger {

namespace {

namespace fs = std::filesystem;

/// A server under load begins its write-ahead log anew every 16 MiB or so.
constexpr int most_attempts = 50;
constexpr std::chrono::milliseconds between_attempts{20};

std::atomic<const private_copy*> the_copy{nullptr};

/// Copies the bytes and makes the copy private, whatever the original's mode.
std::error_code copy_privately(const std::string& from, const std::string& to) {
  std::error_code ec;
  fs::copy_file(from, to, fs::copy_options::overwrite_existing, ec);
  if (!ec && ::chmod(to.c_str(), 0600) != 0)
    ec = std::error_code{errno, std::generic_category()};
  return ec;
}

/// The file first and its write-ahead log after it: whatever a checkpoint moves into the file
/// meanwhile still stands in the log then, unless the log was begun anew, and that is seen.
std::error_code copy_pair(const std::string& from, const std::string& to) {
  if (auto ec = copy_privately(from, to))
    return ec;
  std::error_code ignored;
  fs::remove(to + "-wal", ignored);
  auto ec = copy_privately(from + "-wal", to + "-wal");
  return ec == std::errc::no_such_file_or_directory ? std::error_code{} : ec;
}

} // namespace

result<void, std::string> private_copy::make_folder() {
  std::error_code ec;
  auto below = fs::temp_directory_path(ec);
  if (ec)
    return "there is no folder for temporary files: " + ec.message() + "; set TMPDIR";
  auto pattern = (below / "runledger-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr)
    return "no temporary folder can be made in " + below.string() + ": " + errno_text(errno)
           + "; set TMPDIR";
  folder_ = pattern;
  path_ = folder_ + "/ledger.db";
  side_files_[0] = path_ + "-wal";
  side_files_[1] = path_ + "-shm";
  side_files_[2] = path_ + "-journal";
  return {};
}

result<std::unique_ptr<private_copy>, std::string> private_copy::of(const std::string& path) {
  std::unique_ptr<private_copy> out{new private_copy};
  if (auto made = out->make_folder(); !made)
    return made.error();
  the_copy = out.get();
  for (int attempt = 0; attempt < most_attempts; ++attempt) {
    if (attempt > 0)
      std::this_thread::sleep_for(between_attempts);
    auto before = look_at_pair(path);
    if (!before)
      return path + ": " + before.error().message();
    if (auto ec = copy_pair(path, out->path_)) {
      if (ec == std::errc::no_such_file_or_directory)
        continue; // Renamed or removed just now: the next look tells.
      return path + " cannot be copied to " + out->folder_ + ": " + ec.message()
             + "; TMPDIR names another place for the copy";
    }
    auto after = look_at_pair(path);
    if (after && same_history(*before, *after))
      return out;
  }
  return path + " changes too fast to be copied: read it as the user who runs the server";
}

result<std::unique_ptr<private_copy>, std::string> private_copy::of_nothing() {
  std::unique_ptr<private_copy> out{new private_copy};
  if (auto made = out->make_folder(); !made)
    return made.error();
  the_copy = out.get();
  return out;
}

void private_copy::remove() const noexcept {
  ::unlink(path_.c_str());
  for (const auto& one : side_files_)
    ::unlink(one.c_str());
  ::rmdir(folder_.c_str());
}

void private_copy::remove_now() noexcept {
  if (const auto* copy = the_copy.exchange(nullptr))
    copy->remove();
}

private_copy::~private_copy() {
  const private_copy* mine = this;
  the_copy.compare_exchange_strong(mine, nullptr);
  if (!folder_.empty())
    remove();
}

} // namespace runledger
